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
        voxels = np.argwhere(brain if brain.any() else np.ones_like(brain))
        # One row per coordinate: NumPy reduces long rows many times faster than short ones.
        world = np.ascontiguousarray(grid.to_world(voxels.astype(np.float64)).T)
        return cls(median_of(world[0]), world.min(axis=1), world.max(axis=1))

    def name(self, centre_mm: Sequence[float]) -> str:
        """Return the position of a point in world mm (RAS+), such as ``left, anterior, upper``."""
        off = centre_mm[0] - self.midline_mm
        side = "midline" if abs(off) < MIDLINE_MM else "right" if off > 0 else "left"
        return f"{side}, {self._third(centre_mm, 1, FORWARD)}, {self._third(centre_mm, 2, UPWARD)}"

    def _third(self, centre_mm: Sequence[float], axis: int, names: tuple[str, str, str]) -> str:
        length = self.high_mm[axis] - self.low_mm[axis]
        share = (centre_mm[axis] - self.low_mm[axis]) / length if length else 0.5
        return names[int(np.clip(share * 3, 0, 2))]
