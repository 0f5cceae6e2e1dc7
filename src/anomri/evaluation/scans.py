"""Measures of a whole scan: volumes, and the error of the reconstruction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Mask


def volume_ml(mask: Mask, voxel_ml: float) -> float:
    """Return the volume of a mask in ml."""
    return int(np.count_nonzero(mask)) * voxel_ml


def false_positive_ml(mask: Mask, truth: Mask | None, voxel_ml: float) -> float:
    """Return the marked volume outside lesions in ml; without truth, all marked volume."""
    return volume_ml(mask if truth is None else mask & ~truth, voxel_ml)


def mean_absolute_error(
    image: NDArray[np.float32], reconstruction: NDArray[np.float32], brain: Mask
) -> float:
    """Return the mean of ``|image - reconstruction|`` over the brain, in the unit of the image.

    Args:
        image: (I, J, K), or (C, I, J, K) for the mean over contrasts as well.
        reconstruction: same shape.
        brain: (I, J, K); the result is NaN if it is empty.
    """
    if not brain.any():
        return float("nan")
    difference = image[..., brain] - reconstruction[..., brain]
    return float(np.abs(difference).mean(dtype=np.float64))
