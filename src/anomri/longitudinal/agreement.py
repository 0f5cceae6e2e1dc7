"""Whether two registered brains are the same one.

Two measures, of the field of view that both scans share:

* overlap: Dice coefficient of the brain masks. Low where the registration failed, or where a mask
  misses part of the brain.
* detail: correlation of the images after Gaussian smoothing at two scales is subtracted, over the
  brain without lesions. The folds and ventricles of one person lie in the same place years later;
  those of two persons of the same head size do not.

The limits were chosen on training scans; ``docs/follow_up.md`` reports what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anomri.scan import Mask, Volume

MIN_OVERLAP = 0.80
MIN_DETAIL = 0.70
FINE_MM, BROAD_MM = 1.5, 6.0  # standard deviations of the two smoothings


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a registered brain agrees with that of the first time point.

    Attributes:
        overlap: Dice coefficient of the brain masks, 0 to 1.
        detail: correlation of the brains' fine structure, -1 to 1.
    """

    overlap: float
    detail: float

    @property
    def registered(self) -> bool:
        """Whether the brains lie on each other."""
        return self.overlap >= MIN_OVERLAP

    @property
    def same_brain(self) -> bool:
        """Whether the fine structure is that of one brain."""
        return self.detail >= MIN_DETAIL


def agreement(
    images: tuple[Volume, Volume],
    brains: tuple[Mask, Mask],
    seen: Mask,
    healthy: Mask,
    spacing_mm: float,
) -> Agreement:
    """Measure how well two brains agree in a common space.

    Args:
        images: (I, J, K) each.
        brains: (I, J, K) bool each.
        seen: (I, J, K) bool, the field of view of both.
        healthy: (I, J, K) bool, inside both brains and outside lesions.
        spacing_mm: of the isotropic grid.
    """
    first, second = (brain & seen for brain in brains)
    total = np.count_nonzero(first) + np.count_nonzero(second)
    overlap = 2 * np.count_nonzero(first & second) / total if total else 0.0
    if np.count_nonzero(healthy) < 2:
        return Agreement(overlap, 0.0)
    details = [_detail(image, healthy, spacing_mm)[healthy] for image in images]
    flat = any(values.std() == 0 for values in details)
    detail = 0.0 if flat else float(np.corrcoef(details[0], details[1])[0, 1])
    return Agreement(float(overlap), detail)


def _detail(image: Volume, inside: Mask, spacing_mm: float) -> Volume:
    """Return the difference of two smoothings within a mask, clipped to its common range."""
    low, high = np.percentile(image[inside], (1, 99))
    weight = inside.astype(np.float32)
    values = image.clip(low, high) * weight
    fine, broad = (
        ndimage.gaussian_filter(values, mm / spacing_mm)
        / np.maximum(ndimage.gaussian_filter(weight, mm / spacing_mm), 1e-3)
        for mm in (FINE_MM, BROAD_MM)
    )
    return np.asarray(fine - broad, np.float32)
