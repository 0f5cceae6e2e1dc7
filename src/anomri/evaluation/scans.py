"""One number for a whole scan: volumes, and how well a model gives back what it was shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Mask


def volume_ml(mask: Mask, voxel_ml: float) -> float:
    """Return the volume of a mask."""
    return int(np.count_nonzero(mask)) * voxel_ml


def false_positive_ml(mask: Mask, truth: Mask | None, voxel_ml: float) -> float:
    """Return the volume that is marked and no lesion; without truth, all that is marked.

    On a healthy scan this is the measure: every marked voxel is wrong there.
    """
    return volume_ml(mask if truth is None else mask & ~truth, voxel_ml)


def mean_absolute_error(
    image: NDArray[np.float32], reconstruction: NDArray[np.float32], brain: Mask
) -> float:
    """Return the mean of ``|image - reconstruction|`` over the brain, in the image's own unit.

    Args:
        image: (I, J, K), or (C, I, J, K) for the mean over contrasts too.
        reconstruction: of the same shape.
        brain: (I, J, K); NaN is returned where it is empty.
    """
    if not brain.any():
        return float("nan")
    difference = image[..., brain] - reconstruction[..., brain]
    return float(np.abs(difference).mean(dtype=np.float64))
