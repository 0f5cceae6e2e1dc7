"""Masks onto the scan that they were drawn on, or a refusal where their headers cannot be right.

Programs that save a mask as a bare array lose its header. Its voxels are then those of the scan,
and its affine says that they lie elsewhere.
"""

from __future__ import annotations

import numpy as np

from anomri.errors import GridMismatch, UsageError
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.resampling import corners, place, same_grid
from anomri.scan import Grid

MASK_GRIDS = ("auto", "header", "scan")
NEAR = 1.5  # of the longest voxel side: how far corners of one field of view may lie apart


def place_mask(mask: RawImage, onto: Grid, mask_grid: str = "auto") -> RawImage:
    """Return a mask on the grid of its scan, each voxel from its nearest.

    Args:
        mask: as read.
        onto: the scan's grid.
        mask_grid: ``header`` believes the mask's header; ``scan`` takes its voxels for those of
            the scan where it has as many; ``auto`` refuses where the two differ. A file without a
            voxel size takes the scan's grid in any case.

    Raises:
        GridMismatch: ``auto``, and a mask of the scan's shape lies elsewhere by its header; or
            the two do not meet in the world.
        UsageError: there is no such ``mask_grid``.
    """
    check_mask_grid(mask_grid)
    alike = mask.grid.shape == onto.shape
    if alike and (mask_grid == "scan" or not mask.spacing_known):
        return RawImage(mask.name, mask.values, onto, notes=mask.notes)
    if mask_grid == "auto" and alike and not _same_field(mask.grid, onto):
        raise GridMismatch(
            mask.name,
            expected="a mask that lies where its scan lies",
            got="one of the scan's shape with another affine, as if its header had been lost",
            next_step="use --mask-grid scan if its voxels are those of the scan, --mask-grid "
            "header if its header is right, or copy the scan's header to it",
        )
    return place(mask, onto, linear=False)


def check_mask_grid(mask_grid: str) -> None:
    """Raise unless there is such an option.

    Raises:
        UsageError: there is none.
    """
    if mask_grid not in MASK_GRIDS:
        raise UsageError(
            f"mask grid '{mask_grid}': expected one of {', '.join(MASK_GRIDS)}. Next: choose one."
        )


def _same_field(a: Grid, b: Grid) -> bool:
    """Say whether two grids cover one field of view, whichever way their axes run."""
    if same_grid(a, b):
        return True
    apart = np.linalg.norm(corners(a)[:, None] - corners(b), axis=-1).min(axis=1)
    return bool(apart.max() <= NEAR * max(*a.spacing, *b.spacing))
