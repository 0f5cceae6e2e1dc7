"""Filters that change the values of an anomaly map."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.morphology import HEADER_NOISE_MM, crop_around
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Size
from anomri.scan import Mask, Volume

MEDIAN_VALUES = 1 << 22  # sorted at once: 16 MB


def median(
    state: SegmentationState, *, size_mm: Size, dims: Literal[2, 3] = 3
) -> SegmentationState:
    """Apply a median filter; voxels outside the brain count as 0.

    Args:
        state: the map.
        size_mm: side of the box, rounded to the nearest odd number of voxels along each axis;
            axes with thick voxels are therefore not smoothed.
        dims: 2 filters within axial slices.
    """
    reach = _reach(size_mm, state.spacing)
    if dims == 2:
        reach = (*reach[:2], 0)
    if not any(reach) or not state.brain.any():
        return state
    box = crop_around(state.brain)
    # Zeros, not edge values: the array may be cropped tightly around the brain.
    padded = np.pad(state.values[box], [(n, n) for n in reach])
    smoothed = np.zeros_like(state.values)
    smoothed[box] = _median(padded, state.brain[box], reach)
    return state.with_values(smoothed)


def smooth(state: SegmentationState, *, sigma_mm: Size) -> SegmentationState:
    """Apply a Gaussian filter, normalised by the brain mask.

    ``(G * values) / (G * brain)``: voxels outside the brain do not darken its rim.

    Args:
        state: the map.
        sigma_mm: standard deviation of the Gaussian.
    """
    sigma = tuple(sigma_mm / step for step in state.spacing)
    box = crop_around(state.brain)
    brain = np.ascontiguousarray(state.brain[box])
    total = ndimage.gaussian_filter(state.values[box] * brain, sigma, mode="constant")
    weight = _smoothed_brain(np.packbits(brain).tobytes(), brain.shape, sigma)
    smoothed = np.zeros_like(state.values)
    smoothed[box] = np.divide(total, weight, out=total, where=brain)
    return state.with_values(smoothed)


@lru_cache(maxsize=1)  # all contrasts of a scan have the same brain
def _smoothed_brain(
    packed: bytes, shape: tuple[int, ...], sigma: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return a smoothed brain mask, which is given in bits so that it can be remembered."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=prod(shape))
    brain = bits.reshape(shape).astype(np.float32)
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(brain, sigma, mode="constant")
    return smooth


def standardise(state: SegmentationState) -> SegmentationState:
    """Convert the values to robust z-scores of the brain.

    ``(value - median) / (1.4826 * MAD)`` over the brain; the standard deviation replaces a MAD of
    0, and a constant map becomes 0.
    """
    centre, spread = state.centre_and_spread()
    if not spread:
        return state.with_values(np.zeros_like(state.values))
    return state.with_values((state.values - np.float32(centre)) / np.float32(spread))


def _reach(size_mm: float, spacing: tuple[float, float, float]) -> tuple[int, ...]:
    """Return the box's half-width in voxels: ``2 * reach + 1`` is the nearest odd number."""
    return tuple(int((size_mm + HEADER_NOISE_MM) / (2 * step)) for step in spacing)


def _median(padded: Volume, brain: Mask, reach: tuple[int, ...]) -> Volume:
    """Return the median of the box around each voxel of ``brain``, 0 elsewhere.

    NumPy selects with vector instructions: at 5 x 5 x 7 voxels four times as fast as SimpleITK's
    filter, which also spends half of its time outside the brain.

    Args:
        padded: values with ``reach`` more voxels on each side.
        brain: (I, J, K) bool.
        reach: half-width of the box in voxels.
    """
    sides = tuple(2 * n + 1 for n in reach)
    count = int(np.prod(sides))
    boxes, result = sliding_window_view(padded, sides), np.zeros(brain.shape, padded.dtype)
    index = np.argwhere(brain)
    for part in np.array_split(index, len(index) * count // MEDIAN_VALUES + 1):
        voxels = tuple(part.T)
        values = boxes[voxels].reshape(-1, count)
        values.partition(count // 2, axis=1)
        result[voxels] = values[:, count // 2]
    return result
