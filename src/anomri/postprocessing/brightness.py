"""Brightness of a contrast, in standard deviations of the brighter half of its brain."""

from __future__ import annotations

import numpy as np

from anomri.postprocessing.components import Components
from anomri.postprocessing.linear_field import without_linear_field
from anomri.scan import Mask, Scan, Volume

UPPER_DECILE = 1.2816  # of the standard normal distribution


def brightness(volume: Volume, brain: Mask) -> Volume:
    """Return (v - median) / s in the brain and 0 outside, with s = (P90 - median) / 1.2816.

    For a normal distribution s is the standard deviation. It is estimated from the brighter half,
    because the amount of dark fluid in a mask depends on the brain extraction.

    Args:
        volume: (I, J, K).
        brain: (I, J, K).
    """
    result = np.zeros_like(volume)
    if brain.any():
        median, upper = np.percentile(volume[brain], [50, 90])
        spread = max((upper - median) / UPPER_DECILE, float(np.finfo(np.float32).tiny))
        result[brain] = (volume[brain] - median) / spread
    return result


def share_bright_without_field(scan: Scan, lesions: Mask, level: float) -> float:
    """Return the share of the largest lesion that is bright without the linear bias field.

    Where a coil is close, healthy tissue is bright too: the cerebellum, for one.

    Args:
        scan: its first contrast counts.
        lesions: (I, J, K) bool, at least one.
        level: standard deviations above the brain's median, see :func:`brightness`.
    """
    flat = without_linear_field(scan.image[0], scan.brain, scan.grid.spacing)
    components = Components(lesions)
    largest = components.select(np.arange(components.count + 1) == components.sizes().argmax())
    return float(np.mean(brightness(flat, scan.brain)[largest] > level))
