"""Change of lesions between two time points: its size, its error and its class.

A change of volume counts where both of the following agree:

* volume: it is larger than the error of both volumes. A volume's error is its range with the
  threshold a fifth lower and higher, wider by what an eighth of a voxel along each axis moves the
  lesion's surface, as another position of the same brain in the scanner does. A lesion that was
  not found has the volume 0 and no range of its own.
* brightness: where the masks differ, the lesion's contrast to the tissue around it changed by more
  than :data:`MIN_CONTRAST_CHANGE` of what it is where the lesion was found, and by more than
  :data:`MIN_CONTRAST_SD`. A lesion that one mask misses although it is as bright as before is not
  new.

Otherwise the lesion is ``stable``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.scan import Grid, Mask, Volume

SURFACE_SHIFT = 0.125  # voxels
MIN_CONTRAST_CHANGE = 0.33
MIN_CONTRAST_SD = 0.6  # robust standard deviations of healthy tissue
RING_MM = (2.0, 8.0)  # around a region, for the tissue that it is compared with
MIN_RING = 20  # voxels
DAYS_PER_YEAR = 365.25


class ChangeClass(StrEnum):
    """Class of a lesion's change from one time point to the next."""

    NEW = "new"
    ENLARGED = "enlarged"
    STABLE = "stable"
    SHRUNKEN = "shrunken"
    RESOLVED = "resolved"
    MERGED = "merged"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class MeasuredVolume:
    """A volume with its error.

    Attributes:
        ml: the volume; 0 where no lesion was found.
        least_ml: lower end of the error.
        most_ml: upper end.
    """

    ml: float = 0.0
    least_ml: float = 0.0
    most_ml: float = 0.0

    def __add__(self, other: MeasuredVolume) -> MeasuredVolume:
        """Return the volume of both lesions; their errors add up, because they have one cause."""
        return MeasuredVolume(
            self.ml + other.ml, self.least_ml + other.least_ml, self.most_ml + other.most_ml
        )

    def holds(self, ml: float) -> bool:
        """Whether a volume lies within the error."""
        return self.least_ml <= ml <= self.most_ml


def within_error(before: MeasuredVolume, after: MeasuredVolume) -> bool:
    """Whether a change lies inside the error of both volumes, as far as both have one."""
    if not before.ml or not after.ml:
        return (after if after.ml else before).holds(0.0)
    return before.holds(after.ml) and after.holds(before.ml)


def classify(
    before: Sequence[MeasuredVolume], after: Sequence[MeasuredVolume], brightness_changed: bool
) -> ChangeClass:
    """Return the class of a group of lesions that belong together.

    Args:
        before: volumes of its lesions at the earlier time point.
        after: likewise, at the later one.
        brightness_changed: whether the brightness changed where the masks differ.
    """
    earlier, later = (sum(volumes, MeasuredVolume()) for volumes in (before, after))
    if within_error(earlier, later) or not brightness_changed:
        return ChangeClass.STABLE
    if not before or not after:
        return ChangeClass.RESOLVED if before else ChangeClass.NEW
    if len(after) < len(before):
        return ChangeClass.MERGED
    if len(after) > len(before):
        return ChangeClass.SPLIT
    return ChangeClass.ENLARGED if later.ml > earlier.ml else ChangeClass.SHRUNKEN


def surface_errors_ml(lesions: NDArray[np.int32], grid: Grid) -> NDArray[np.float64]:
    """Return by how much a shift of :data:`SURFACE_SHIFT` voxels changes each lesion's volume.

    Args:
        lesions: (I, J, K) numbers from 1, 0 elsewhere.
        grid: of the numbers.

    Returns:
        (highest number + 1,) ml.
    """
    faces = np.zeros(int(lesions.max(initial=0)) + 1)
    padded = np.pad(lesions, 1)
    for axis in range(3):
        first, second = (np.take(padded, range(*ends), axis) for ends in _neighbours(padded, axis))
        for side in (first, second):
            faces += np.bincount(side[first != second], minlength=faces.size)
    faces[0] = 0
    return faces * SURFACE_SHIFT * grid.voxel_ml


def _neighbours(array: NDArray[np.int32], axis: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, array.shape[axis] - 1), (1, array.shape[axis])


@dataclass(frozen=True, slots=True)
class Brightness:
    """Brightness of a region against the tissue around it, before and after.

    Attributes:
        before: contrast at the earlier time point, in robust standard deviations of healthy tissue.
        after: likewise, at the later one.
    """

    before: float
    after: float

    @property
    def change(self) -> float:
        """Difference of the contrasts."""
        return self.after - self.before

    def changed(self, grown: bool) -> bool:
        """Whether the contrast changed in the direction of the volume.

        Args:
            grown: whether the volume became larger.
        """
        found, missing = (self.after, self.before) if grown else (self.before, self.after)
        # Lesions are dark in some contrasts.
        gained = (found - missing) * (1 if found >= 0 else -1)
        return gained > max(MIN_CONTRAST_CHANGE * abs(found), MIN_CONTRAST_SD)


def brightness_of(
    images: tuple[Volume, Volume], region: Mask, tissue: Mask, spacing_mm: float
) -> Brightness:
    """Return the brightness of a region at both time points.

    Args:
        images: (I, J, K) each, on one scale of brightness.
        region: (I, J, K) bool, not empty.
        tissue: (I, J, K) bool, brain without any lesion of either.
        spacing_mm: of the isotropic grid.
    """
    box = _box(region, int(np.ceil(RING_MM[1] / spacing_mm)) + 1)
    part, around = region[box], tissue[box]
    distance = ndimage.distance_transform_edt(~part, sampling=spacing_mm)
    ring = (distance > RING_MM[0]) & (distance <= RING_MM[1]) & around
    levels = [_contrast(image[box], part, ring) for image in images]
    return Brightness(*levels)


def _contrast(image: Volume, region: Mask, ring: Mask) -> float:
    # Without tissue around it the median of all healthy tissue, which is 0, has to do.
    usual = float(np.median(image[ring])) if np.count_nonzero(ring) >= MIN_RING else 0.0
    return float(image[region].mean()) - usual


def _box(mask: Mask, margin: int) -> tuple[slice, ...]:
    return tuple(
        slice(max(int(index.min()) - margin, 0), int(index.max()) + margin + 1)
        for index in np.nonzero(mask)
    )
