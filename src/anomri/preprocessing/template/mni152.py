"""The MNI152 template (ICBM 152 2009a, symmetric, skull-stripped) that nilearn ships."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.errors import MissingPiece
from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.template.registration_image import (
    RegistrationImage,
    make_registration_image,
)
from anomri.scan import Grid, Volume

TEMPLATE_SPACE = "MNI152NLin2009aSym"  # its name in BIDS
TEMPLATE_FILE = Path("datasets", "data", "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")

SPACING_MM = 3.0
RIM = 2  # voxels around the template's brain that are registered too, so that its outline counts


@cache
def load_template() -> tuple[Volume, Grid]:
    """Return the skull-stripped T1 template and its 1 mm grid.

    Raises:
        MissingPiece: the installed nilearn does not include it.
    """
    image = nib.Nifti1Image.from_filename(nilearn_data_file(TEMPLATE_FILE))
    values: Volume = image.get_fdata(dtype=np.float32)
    i, j, k = image.shape
    return values, Grid(shape=(i, j, k), affine=np.asarray(image.affine, dtype=np.float64))


def nilearn_data_file(file: Path) -> Path:
    """Return the path of a data file inside the installed nilearn.

    Args:
        file: relative to nilearn's package folder.

    Raises:
        MissingPiece: the installed nilearn does not include it.
    """
    # find_spec does not import nilearn, which would take a second.
    found = find_spec("nilearn")
    path = Path(found.origin).parent / file if found and found.origin else None
    if path is None or not path.is_file():
        raise MissingPiece(
            f"{file.name}: expected the MNI152 template in the installed nilearn, found none. "
            "Next: `pip install 'nilearn>=0.14'`."
        )
    return path


def template_grid(spacing_mm: float = 1.0) -> Grid:
    """Return the template's own grid, or a coarser one with the same field of view."""
    _, grid = load_template()
    i, j, k = (int(np.ceil(n / spacing_mm)) for n in grid.shape)
    local = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    return Grid(shape=(i, j, k), affine=grid.affine @ local, sform_code=4)


def template_brain_bounds() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest corner of the template's brain, each (3,) template mm."""
    values, grid = load_template()
    box = brain_box(values > 0)
    ends = np.array([(part.start, part.stop - 1) for part in box], dtype=np.float64).T
    low, high = grid.to_world(ends)
    return low, high


@cache
def template_registration_image(spacing_mm: float = SPACING_MM) -> RegistrationImage:
    """Return the template as a registration image; its mask is the brain and a rim around it."""
    values, grid = load_template()
    image = make_registration_image(values, values > 0, grid, spacing_mm)
    return replace(image, mask=ndimage.binary_dilation(image.mask, iterations=RIM))
