"""Choice of the slices that show a scan best, and their orientation on a page.

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
        position = f"{self.position_mm:.0f} mm".replace("-", "\N{MINUS SIGN}")
        return f"{NAMES[self.axis]}  {LETTERS[self.axis]} = {position}"

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
    margin = np.ceil(MARGIN_MM / np.array(spacing)).astype(int)
    first, last = np.array([extent(brain, axis) for axis in range(3)]).T
    low = np.maximum(0, first - margin).tolist()
    high = np.minimum(brain.shape, last + 1 + margin).tolist()
    return Box(tuple(low), tuple(high), spacing)


def choose(interest: Mask, brain: Mask, grid: Grid) -> tuple[Slice, ...]:
    """Return axial slices from foot to head, then the coronal and the sagittal slice.

    Args:
        interest: (I, J, K), the lesions found and the expert's.
        brain: (I, J, K).
        grid: where the voxels lie.
    """
    axial = sorted(_spread(interest.sum(axis=(0, 1)), extent(brain, 2), AXIAL))
    planes = [(2, k) for k in axial] + [(axis, _fullest(interest, brain, axis)) for axis in (1, 0)]
    return tuple(Slice(axis, index, _position(brain, grid, axis, index)) for axis, index in planes)


def extent(mask: Mask, axis: int) -> tuple[int, int]:
    """Return the first and last index of a mask along an axis; the whole axis if it is empty."""
    index = np.flatnonzero(mask.any(axis=ACROSS_DOWN[axis]))
    return (int(index[0]), int(index[-1])) if index.size else (0, mask.shape[axis] - 1)


def _spread(area: NDArray[Any], ends: tuple[int, int], count: int) -> list[int]:
    """Take the slices with the largest area, some distance apart, then fill the widest gaps."""
    first, last = ends
    gap = max(1, (last - first) // (2 * count))
    chosen: list[int] = []
    for k in np.argsort(area, kind="stable")[::-1]:
        if area[k] <= SPECK * area.max() or len(chosen) == count:
            break
        if all(abs(int(k) - index) >= gap for index in chosen):
            chosen.append(int(k))
    while len(chosen) < min(count, last - first + 1):
        chosen.append(_farthest(ends, chosen))
    return chosen


def _farthest(ends: tuple[int, int], chosen: list[int]) -> int:
    """Return the slice farthest from all that are chosen and from both ends of the brain."""
    taken = [ends[0] - 1, ends[1] + 1, *chosen]
    return max(range(ends[0], ends[1] + 1), key=lambda k: min(abs(k - index) for index in taken))


def _fullest(interest: Mask, brain: Mask, axis: int) -> int:
    """Return the slice with the largest area of interest; without any, one off the midline."""
    area = interest.sum(axis=ACROSS_DOWN[axis])
    if area.any():
        return int(area.argmax())
    first, last = extent(brain, axis)
    return first + round((last - first) * (0.42 if axis == 0 else 0.5))


def _position(brain: Mask, grid: Grid, axis: int, index: int) -> float:
    """World coordinate of the slice's middle."""
    middle = (np.array(brain.shape) - 1) / 2
    middle[axis] = index
    return float(grid.to_world(middle)[axis])
