"""The guided filter: smoothing of one volume that keeps the edges of another.

After He, Sun and Tang 2013 (IEEE Transactions on Pattern Analysis and Machine Intelligence
35:1397-1409), with Gaussian windows in place of boxes, which would be rounded to whole voxels. Near
each voxel the result is a linear function of the guide: where the guide has an edge, so has the
result.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.scan import Mask, Volume

TRUNCATE = 3.0  # standard deviations at which the windows end
LEAST_WEIGHT = 1e-3  # of a window: farther from the brain nothing is known


def guided_filter(
    values: Volume,
    guide: Volume,
    brain: Mask,
    *,
    sigma_mm: float,
    noise: float,
    spacing: tuple[float, float, float],
) -> Volume:
    """Return (I, J, K) values, smoothed along the edges of the guide.

    Args:
        values: (I, J, K) to be smoothed.
        guide: (I, J, K) whose edges are kept.
        brain: (I, J, K) where both count (normalised convolution).
        sigma_mm: standard deviation of the windows.
        noise: of the guide, in its units: edges that are lower than it are smoothed.
        spacing: mm along I, J, K.
    """
    sigma = [sigma_mm / side for side in spacing]
    inside: Volume = brain.astype(np.float32)
    weight: Volume = np.maximum(_gaussian(inside, sigma), np.float32(LEAST_WEIGHT))

    def mean(volume: Volume) -> Volume:
        local: Volume = _gaussian(volume * inside, sigma) / weight
        return local

    mean_values, mean_guide = mean(values), mean(guide)
    covariance = mean(values * guide) - mean_values * mean_guide
    variance = np.maximum(mean(guide * guide) - mean_guide**2, 0) + np.float32(noise**2)
    slope = covariance / variance
    result: Volume = mean(slope) * guide + mean(mean_values - slope * mean_guide)
    return result


def _gaussian(volume: Volume, sigma: list[float]) -> Volume:
    smoothed: Volume = ndimage.gaussian_filter(volume, sigma, truncate=TRUNCATE)
    return smoothed


def margin(sigma_mm: float, spacing: tuple[float, float, float]) -> tuple[int, ...]:
    """Return how many voxels along each axis the result depends on; two windows follow each other.

    >>> margin(2, (1.5, 1.5, 6.0))
    (8, 8, 2)
    """
    return tuple(2 * int(TRUNCATE * sigma_mm / side + 0.5) for side in spacing)
