"""Estimation of an unknown voxel size from the size of the brain.

Adult brains vary little in size. In 46 whole heads of four data sets (brains found by deepbet) the
largest axial section has 173 cm², standard deviation 12 cm², which is 4 % of a length; the brain is
136 mm high, standard deviation 8 mm.
"""

from __future__ import annotations

import numpy as np

from anomri.preprocessing.brain.shape_check import cut_faces
from anomri.preprocessing.grids import rescale_grid
from anomri.scan import Grid, Mask

SECTION_MM2 = 17_300.0
HEIGHT_MM = 136.0
MIN_SECTION_FRACTION = 0.02  # of the largest section: smaller ones do not count towards the height
CUT_HEIGHT_MM = 150.0  # assumed height of a field of view that cuts the brain
SLICE_MM = (1.0, 8.0)  # limits of the slice thickness in that case


def estimate_scale(grid: Grid, brain: Mask) -> tuple[float, float, float]:
    """Return the factors that correct a nominal voxel size along right, anterior and superior.

    Args:
        grid: RAS+ grid of nominal voxel size, axial slices along K.
        brain: (I, J, K) bool, not empty.
    """
    right_mm, anterior_mm, superior_mm = grid.spacing
    areas = np.count_nonzero(brain, axis=(0, 1))
    in_plane = float(np.sqrt(SECTION_MM2 / (areas.max() * right_mm * anterior_mm)))
    if any(cut_faces(brain, 2)):
        slice_mm = float(np.clip(CUT_HEIGHT_MM / grid.shape[2], *SLICE_MM))
    else:
        slice_mm = HEIGHT_MM / np.count_nonzero(areas > MIN_SECTION_FRACTION * areas.max())
    return in_plane, in_plane, slice_mm / superior_mm


def estimate_grid(grid: Grid, brain: Mask) -> Grid:
    """Return the grid with the estimated voxel size; see :func:`estimate_scale`."""
    return rescale_grid(grid, estimate_scale(grid, brain))
