"""Position of a lesion in words that need no atlas.

It is geometric: the side of the brain's own midline, and the third of the brain's own extent from
back to front and from foot to head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomri.postprocessing.state import median_of
from anomri.scan import Grid, Mask

MIDLINE_MM = 4.0
"""A centre closer to the midline than this is on neither side."""
FORWARD = ("posterior", "middle", "anterior")
UPWARD = ("lower", "central", "upper")
GEOMETRIC = (
    "Positions are geometric, in world mm: the side of the brain's own midline and thirds of the "
    "brain's own extent. They come from no atlas."
)


@dataclass(frozen=True, slots=True)
class Places:
    """Axes of one brain, by which positions are named.

    Attributes:
        midline_mm: world coordinate that halves the brain into right and left.
        low_mm: (3,) lowest world coordinates of the brain.
        high_mm: (3,) highest.
    """

    midline_mm: float
    low_mm: NDArray[np.float64]
    high_mm: NDArray[np.float64]

    @classmethod
    def of(cls, brain: Mask, grid: Grid) -> Places:
        """Measure the brain (I, J, K); the whole grid where it is empty."""
        brain = brain if brain.any() else np.ones_like(brain)
        along = np.abs(grid.affine[:3, :3]) > 0
        if (
            along.sum(axis=1) > 1
        ).any():  # the grid is turned: each voxel has coordinates of its own
            # One row per coordinate: NumPy reduces long rows many times faster than short ones.
            world = grid.to_world(np.argwhere(brain).astype(np.float64))
            rows = np.ascontiguousarray(world.T)
            return cls(median_of(rows[0]), rows.min(axis=1), rows.max(axis=1))
        slices = [_slices(brain, grid, axis) for axis in range(3)]
        low, high = np.array([(mm[0], mm[-1]) for mm, _ in slices]).T
        return cls(_median_of_repeated(*slices[0]), low, high)

    def name(self, centre_mm: Sequence[float]) -> str:
        """Return the position of a point in world mm (RAS+), such as ``left, anterior, upper``."""
        off = centre_mm[0] - self.midline_mm
        side = "midline" if abs(off) < MIDLINE_MM else "right" if off > 0 else "left"
        return f"{side}, {self._third(centre_mm, 1, FORWARD)}, {self._third(centre_mm, 2, UPWARD)}"

    def _third(self, centre_mm: Sequence[float], axis: int, names: tuple[str, str, str]) -> str:
        length = self.high_mm[axis] - self.low_mm[axis]
        share = (centre_mm[axis] - self.low_mm[axis]) / length if length else 0.5
        return names[int(np.clip(share * 3, 0, 2))]


def _slices(brain: Mask, grid: Grid, axis: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the slices across a world axis of a grid that is not turned, in ascending order.

    Returns:
        Their world coordinates, and the number of brain voxels in each, at least one.
    """
    own = int(np.abs(grid.affine[axis, :3]).argmax())
    counts = np.count_nonzero(brain, axis=tuple(other for other in range(3) if other != own))
    index = np.zeros((brain.shape[own], 3))
    index[:, own] = np.arange(brain.shape[own])
    positions = grid.to_world(index)[:, axis]
    order = np.argsort(positions)
    order = order[counts[order] > 0]
    return positions[order], counts[order]


def _median_of_repeated(values: NDArray[np.float64], counts: NDArray[np.intp]) -> float:
    """Return the median of ascending values, each of which occurs a number of times."""
    ends = np.cumsum(counts)
    lower, upper = (values[np.searchsorted(ends, (ends[-1] + n) // 2, "right")] for n in (-1, 0))
    return float((lower + upper) / 2)
