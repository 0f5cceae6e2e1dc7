"""Resampling of masks to the grid of their scan, with a check of their headers.

Programs that save a mask as a bare array lose its header. The mask then has the scan's voxels but
another affine, which would place it elsewhere.
"""

from __future__ import annotations

import numpy as np

from anomri.errors import GridMismatch, UsageError
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.resampling import corners, resample_image, same_grid
from anomri.scan import Grid

MASK_GRIDS = ("auto", "header", "scan")
SAME_FIELD = 1.5  # of the longest voxel side: maximum distance between corners


def place_mask(mask: RawImage, grid: Grid, mask_grid: str = "auto") -> RawImage:
    """Return a mask on the grid of its scan, by nearest-neighbour interpolation.

    Args:
        mask: as read from its file.
        grid: the scan's grid.
        mask_grid: ``header`` trusts the mask's header; ``scan`` assigns the scan's grid to a mask
            of the same shape; ``auto`` refuses where the two differ. A file without a voxel size
            always gets the scan's grid.

    Raises:
        GridMismatch: with ``auto``, a mask of the scan's shape lies elsewhere according to its
            header; or mask and scan do not overlap in world space.
        UsageError: unknown ``mask_grid``.
    """
    check_mask_grid(mask_grid)
    same_shape = mask.grid.shape == grid.shape
    if same_shape and (mask_grid == "scan" or not mask.spacing_known):
        return RawImage(mask.name, mask.values, grid, notes=mask.notes)
    if mask_grid == "auto" and same_shape and not _same_field(mask.grid, grid):
        raise GridMismatch(
            mask.name,
            expected="a mask at the position of its scan",
            got="one of the scan's shape with another affine, as if its header had been lost",
            next_step="use --mask-grid scan if its voxels are those of the scan, --mask-grid "
            "header if its header is right, or copy the scan's header to it",
        )
    return resample_image(mask, grid, linear=False)


def check_mask_grid(mask_grid: str) -> None:
    """Check the value of the option ``mask_grid``.

    Raises:
        UsageError: unknown value.
    """
    if mask_grid not in MASK_GRIDS:
        raise UsageError(
            f"mask grid '{mask_grid}': expected one of {', '.join(MASK_GRIDS)}. Next: choose one."
        )


def _same_field(a: Grid, b: Grid) -> bool:
    """Return whether two grids cover the same field of view, with axes in any direction."""
    if same_grid(a, b):
        return True
    distances = np.linalg.norm(corners(a)[:, None] - corners(b), axis=-1).min(axis=1)
    return bool(distances.max() <= SAME_FIELD * max(*a.spacing, *b.spacing))
