"""Which tissue lies at a place of the MNI152 template.

The maps are those that nilearn carries beside the template. A rigid or affine registration misses
folds by millimetres, so the answer is the tissue that fills most of a small cube, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from anomri.preprocessing.template.placement import FILE, carried, template

REACH_MM = 2  # on each side of the place: a cube of 5 mm
TISSUES = {"grey matter": "_gm_", "white matter": "_wm_"}
FLUID = "cerebrospinal fluid"
FULL = 255  # both maps together, where there is no fluid


def tissue_at(point_mm: Sequence[float]) -> str:
    """Name the tissue of the template around a place.

    Args:
        point_mm: template mm (RAS+).

    Returns:
        Grey matter, white matter or cerebrospinal fluid, whichever fills most of the cube; empty
        where the cube holds nothing of the template's brain.

    Raises:
        MissingPiece: the installed nilearn does not carry the maps.
    """
    brain, grid = template()
    away = np.asarray(point_mm) - grid.affine[:3, 3]
    index = np.rint(np.linalg.solve(grid.affine[:3, :3], away)).astype(int)
    low, high = np.maximum(index - REACH_MM, 0), np.maximum(index + REACH_MM + 1, 0)
    cube = tuple(slice(*ends) for ends in zip(low, high, strict=True))
    inside = brain[cube] > 0
    if not inside.any():
        return ""
    shares = {name: float(tissue_map(word)[cube][inside].mean()) for name, word in TISSUES.items()}
    shares[FLUID] = FULL - sum(shares.values())
    return max(shares, key=lambda name: shares[name])


@cache
def tissue_map(word: str) -> NDArray[np.uint8]:
    """Return a tissue's share in each voxel of the template, 0 to 255.

    Args:
        word: of the map's file name, ``_gm_`` or ``_wm_``.
    """
    path = carried(FILE.with_name(FILE.name.replace("_t1_", word)))
    values: NDArray[np.uint8] = np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj)
    return values
