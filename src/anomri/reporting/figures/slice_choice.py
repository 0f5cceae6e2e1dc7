"""Which slices show a scan best, and how they are laid on a page.

Pictures follow the radiological convention: the patient's right is on the left. Sagittal slices
look to the left. Arrays are RAS+, so every displayed axis runs against its index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Grid, Mask

AXIAL = 5
MARGIN_MM = 4.0
SPECK = 0.05  # of the largest area in a slice: less does not earn a slice of its own
NAMES = ("sagittal", "coronal", "axial")
LETTERS = "xyz"
# The two array axes that run across and down the picture of a slice through each axis.
ACROSS_DOWN = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
# What lies at the left and right edges of that picture.
EDGES = {0: ("A", "P"), 1: ("R", "L"), 2: ("R", "L")}


@dataclass(frozen=True, slots=True)
class Box:
    """The part of the grid worth showing.

    Attributes:
        low: first voxel along I, J, K.
        high: one past the last voxel.
        spacing: mm per voxel along I, J, K.
    """

    low: tuple[int, int, int]
    high: tuple[int, int, int]
    spacing: tuple[float, float, float]

    def size_mm(self, axis: int) -> float:
        """Length of the box along one array axis."""
        return (self.high[axis] - self.low[axis]) * self.spacing[axis]


@dataclass(frozen=True, slots=True)
class Slice:
    """One plane through a scan.

    Attributes:
        axis: array axis it is perpendicular to.
        index: its voxel along that axis.
        position_mm: its world coordinate along the same direction.
    """

    axis: int
    index: int
    position_mm: float

    @property
    def title(self) -> str:
        """Name and place, such as ``axial  z = 12 mm``."""
        return f"{NAMES[self.axis]}  {LETTERS[self.axis]} = {self.position_mm:.0f} mm".replace(
            "-", "\N{MINUS SIGN}"
        )

    def cut(self, volume: NDArray[Any], box: Box) -> NDArray[Any]:
        """Return the plane (down, across) of an (I, J, K) volume as it is displayed."""
        inside = [slice(low, high) for low, high in zip(box.low, box.high, strict=True)]
        inside[self.axis] = slice(self.index, self.index + 1)
        plane: NDArray[Any] = volume[tuple(inside)].squeeze(axis=self.axis)
        return plane.T[::-1, ::-1]

    def size_mm(self, box: Box) -> tuple[float, float]:
        """Width and height of its picture."""
        across, down = ACROSS_DOWN[self.axis]
        return box.size_mm(across), box.size_mm(down)


def box_around(brain: Mask, spacing: tuple[float, float, float]) -> Box:
    """Return the box of the brain with a small margin; the whole grid without a brain."""
    low, high = [], []
    for axis in range(3):
        there = np.flatnonzero(brain.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = (there[0], there[-1]) if there.size else (0, brain.shape[axis] - 1)
        margin = int(np.ceil(MARGIN_MM / spacing[axis]))
        low.append(max(0, int(first) - margin))
        high.append(min(brain.shape[axis], int(last) + 1 + margin))
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]), spacing)


def choose(interest: Mask, brain: Mask, grid: Grid) -> tuple[Slice, ...]:
    """Return axial slices from foot to head, then the coronal and the sagittal slice.

    Args:
        interest: (I, J, K), what has to be seen: the lesions found and the expert's.
        brain: (I, J, K).
        grid: where the voxels lie.
    """
    area = interest.sum(axis=(0, 1))
    axial = sorted(_spread(area, _extent(brain, 2), AXIAL))
    planes = [(2, k) for k in axial] + [(axis, _fullest(interest, brain, axis)) for axis in (1, 0)]
    return tuple(Slice(axis, index, _position(brain, grid, axis, index)) for axis, index in planes)


def _spread(area: NDArray[Any], extent: tuple[int, int], count: int) -> list[int]:
    """Take the slices with the largest area, some distance apart, then fill the widest gaps."""
    first, last = extent
    gap = max(1, (last - first) // (2 * count))
    chosen: list[int] = []
    for k in np.argsort(area, kind="stable")[::-1]:
        if area[k] <= SPECK * area.max() or len(chosen) == count:
            break
        if all(abs(int(k) - other) >= gap for other in chosen):
            chosen.append(int(k))
    while len(chosen) < min(count, last - first + 1):
        chosen.append(_farthest((first, last), chosen))
    return chosen


def _farthest(extent: tuple[int, int], chosen: list[int]) -> int:
    """Return the slice farthest from all that are chosen and from both ends of the brain."""
    taken = [extent[0] - 1, extent[1] + 1, *chosen]
    free = (k for k in range(extent[0], extent[1] + 1) if k not in chosen)
    return max(free, key=lambda k: min(abs(k - other) for other in taken))


def _extent(brain: Mask, axis: int) -> tuple[int, int]:
    there = np.flatnonzero(brain.any(axis=tuple(a for a in range(3) if a != axis)))
    return (int(there[0]), int(there[-1])) if there.size else (0, brain.shape[axis] - 1)


def _fullest(interest: Mask, brain: Mask, axis: int) -> int:
    """Return the slice with most of what has to be seen; off the midline where there is nothing."""
    area = interest.sum(axis=tuple(a for a in range(3) if a != axis))
    if area.any():
        return int(area.argmax())
    first, last = _extent(brain, axis)
    return first + round((last - first) * (0.42 if axis == 0 else 0.5))


def _position(brain: Mask, grid: Grid, axis: int, index: int) -> float:
    """World coordinate of the slice's middle."""
    middle = np.array([(n - 1) / 2 for n in brain.shape])
    middle[axis] = index
    return float(grid.to_world(middle)[axis])
