"""Longest diameter of a lesion, as a reader measures it with the ruler of a viewer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from anomri.scan import Grid

THICK = 2.0  # times the shortest side of a voxel: from here on lesions are measured in the slice
FEW = 50  # voxels, of which every pair is measured


def long_axis_mm(voxels: NDArray[np.intp], grid: Grid) -> float:
    """Return the largest distance between two voxels of a lesion, the voxels themselves included.

    Where slices are at least twice as thick as voxels are wide, both voxels are in one slice: two
    slices of 6 mm say little of the size of what they cut.

    Args:
        voxels: (N, 3) indices of at least one voxel.
        grid: of the voxels; may be rotated, flipped and sheared.

    >>> row = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    >>> long_axis_mm(row, Grid(shape=(4, 4, 4), affine=np.diag([1.5, 1.5, 2, 1])))
    4.5
    """
    slices = int(np.argmax(grid.spacing))
    if grid.spacing[slices] < THICK * min(grid.spacing):
        return _length_mm(voxels, grid, [0, 1, 2])
    plane = [axis for axis in range(3) if axis != slices]
    numbers = voxels[:, slices]
    parts = (voxels[numbers == number] for number in np.unique(numbers))
    return max(_length_mm(part, grid, plane) for part in parts)


def _length_mm(voxels: NDArray[np.intp], grid: Grid, axes: list[int]) -> float:
    """Return the length of voxels that differ along ``axes`` only."""
    if len(voxels) == 1:
        return min(grid.spacing[axis] for axis in axes)
    if len(voxels) > FEW:  # the farthest two are corners of the hull; QJ: flat lesions have one too
        voxels = voxels[ConvexHull(voxels[:, axes], qhull_options="QJ").vertices]
    world = grid.to_world(voxels.astype(np.float64))
    apart = cdist(world, world)
    first, second = np.unravel_index(np.argmax(apart), apart.shape)
    steps = int(np.abs(voxels[first] - voxels[second]).max())
    return float(apart[first, second] * (1 + 1 / steps))  # half a voxel at either end
