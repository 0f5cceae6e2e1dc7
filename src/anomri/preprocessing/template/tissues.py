"""Tissue at a point of the MNI152 template.

The tissue probability maps are those that nilearn ships with the template. A rigid or affine
registration misses cortical folds by millimetres, so the answer is the predominant tissue of a
small cube around the point.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from anomri.preprocessing.template.mni152 import (
    TEMPLATE_FILE,
    load_template,
    nilearn_data_file,
)

HALF_WIDTH = 2  # voxels of 1 mm on each side of the point: a cube of 5 mm
TISSUES = {"grey matter": "gm", "white matter": "wm"}
FLUID = "cerebrospinal fluid"
FULL = 255  # sum of both maps where there is no fluid


def template_tissue_at(point_mm: Sequence[float]) -> str:
    """Return the predominant tissue around a point of the template.

    Args:
        point_mm: (3,) template mm (RAS+).

    Returns:
        ``grey matter``, ``white matter`` or ``cerebrospinal fluid``; empty outside the template's
        brain.

    Raises:
        MissingPiece: the installed nilearn does not include the maps.
    """
    brain, grid = load_template()
    offset = np.asarray(point_mm) - grid.affine[:3, 3]
    index = np.rint(np.linalg.solve(grid.affine[:3, :3], offset)).astype(int)
    low, high = np.maximum(index - HALF_WIDTH, 0), np.maximum(index + HALF_WIDTH + 1, 0)
    cube = tuple(slice(*ends) for ends in zip(low, high, strict=True))
    inside = brain[cube] > 0
    if not inside.any():
        return ""
    shares = {name: float(tissue_map(key)[cube][inside].mean()) for name, key in TISSUES.items()}
    shares[FLUID] = FULL - sum(shares.values())
    return max(shares, key=lambda name: shares[name])


@cache
def tissue_map(tissue: str) -> NDArray[np.uint8]:
    """Return the (I, J, K) probability of a tissue on the template's grid, scaled to 0-255.

    Args:
        tissue: ``gm`` or ``wm``.

    Raises:
        MissingPiece: the installed nilearn does not include the map.
    """
    name = TEMPLATE_FILE.name.replace("_t1_", f"_{tissue}_")
    path = nilearn_data_file(TEMPLATE_FILE.with_name(name))
    values: NDArray[np.uint8] = np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj)
    return values
