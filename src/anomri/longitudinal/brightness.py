"""Brightness of several scans on one scale, from the healthy brain that they have in common.

Scanners and sequences differ in gain and offset. Both are estimated in the tissue that is brain at
every time point and a lesion at none, so that no lesion moves the scale; the result is in robust
standard deviations of that tissue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anomri.scan import Mask, Volume

RIM_MM = 3.0  # of the brain, where partial volume and brain masks differ
AROUND_LESIONS_MM = 3.0
NORMAL_SD = 1.4826  # standard deviations per median absolute deviation
MIN_VOXELS = 1000


@dataclass(frozen=True, slots=True)
class Scale:
    """Offset and gain of one scan.

    Attributes:
        median: of the healthy tissue, in units of the scan.
        sd: its robust standard deviation.
    """

    median: float
    sd: float

    @classmethod
    def of(cls, volume: Volume, healthy: Mask) -> Scale:
        """Measure the scale of an (I, J, K) volume in healthy tissue."""
        values = volume[healthy]
        median = float(np.median(values))
        return cls(median, max(NORMAL_SD * float(np.median(np.abs(values - median))), 1e-9))

    def apply(self, volume: Volume) -> Volume:
        """Return the volume in robust standard deviations of healthy tissue."""
        return (volume - np.float32(self.median)) / np.float32(self.sd)


def healthy_in_common(brains: list[Mask], lesions: list[Mask], spacing_mm: float) -> Mask:
    """Return the tissue that is inside every brain and away from every lesion.

    Args:
        brains: (I, J, K) bool each, on one isotropic grid.
        lesions: likewise.
        spacing_mm: of the grid.

    Returns:
        (I, J, K) bool. Where less than :data:`MIN_VOXELS` remain, the common brain without the
        lesions themselves.
    """
    common = np.logical_and.reduce(brains)
    marked = np.logical_or.reduce(lesions)
    inner = _distance(common, spacing_mm) > RIM_MM
    away = _distance(~marked, spacing_mm) > AROUND_LESIONS_MM if marked.any() else ~marked
    healthy: Mask = inner & away
    return healthy if np.count_nonzero(healthy) >= MIN_VOXELS else common & ~marked


def _distance(mask: Mask, spacing_mm: float) -> Volume:
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing_mm), np.float32)
