"""Images as NIfTI files with only geometry in the header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from anomri.files import compressed_file
from anomri.scan import Grid


def image_on(array: NDArray[Any], grid: Grid) -> nib.Nifti1Image:
    """Return an image with a fresh header on a grid.

    Both transforms and their codes are those of the input file, so that every viewer, whichever
    of the two it uses, shows the result over the scan. Nothing else of the input's header is
    kept: its free-text fields may name a patient.

    Args:
        array: (I, J, K), uint8, uint16 or float32, in the order of the file.
        grid: the input's own grid.
    """
    kind = array.dtype if array.dtype in (np.uint8, np.uint16) else np.float32
    image = nib.Nifti1Image(array.astype(kind, copy=False), grid.affine)
    image.header.set_xyzt_units("mm")
    qform = grid.affine if grid.qform is None else grid.qform
    image.set_qform(qform, code=grid.qform_code)
    # Last, because it decides the image's affine: nibabel prefers an sform with a code.
    image.set_sform(grid.affine if grid.sform_code else None, code=grid.sform_code)
    return image


def write_image(image: nib.Nifti1Image, path: Path) -> None:
    """Write ``.nii.gz`` quickly and reproducibly: no time stamp and no file name in the stream."""
    with compressed_file(path) as stream:
        image.to_stream(stream)
