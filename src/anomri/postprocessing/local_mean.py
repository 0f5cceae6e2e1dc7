"""Division by the local mean of tissue: homomorphic unsharp masking.

Brinkmann, Manduca and Robb 1998. A coil brightens one side of the head; one level for the whole
brain then means different things on both sides. The local mean is that of tissue alone (normalised
convolution): neither fluid nor what enhances lowers or raises it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.lattice import lattice
from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Size
from anomri.scan import Mask, Volume

TISSUE_PERCENTILES = (10, 97)  # the rest is fluid, vessels and what enhances
ITERATIONS = 2  # of mean and tissue: which voxels are tissue depends on the mean
FAR_WEIGHT = 1e-3  # of the brain's median: far from all tissue it is the mean


def divide_by_local_mean(state: SegmentationState, *, sigma_mm: Size) -> SegmentationState:
    """Divide the values by the local mean of tissue.

    Args:
        state: intensities, above 0 in most of the brain. A map without positive tissue is returned
            as it is.
        sigma_mm: standard deviation of the Gaussian that weights the mean.
    """
    if not state.brain.any():
        return state
    box = crop_around(state.brain)
    places = lattice(state.brain[box].shape, state.spacing)
    coarse = np.ix_(*places)
    sigma = _in_steps(sigma_mm, places, state.spacing)
    mean = _local_mean(state.values[box][coarse], state.brain[box][coarse], sigma)
    if mean is None:
        return state
    divided = state.values.copy()
    divided[box] /= _at_every_voxel(mean, places)
    return state.with_values(divided)


def _in_steps(mm: float, places: list[NDArray[np.intp]], spacing: tuple[float, ...]) -> list[float]:
    """Convert mm to mean steps of a lattice along each axis; 0 along an axis of one voxel."""
    steps = (side * np.diff(place) for side, place in zip(spacing, places, strict=True))
    return [mm / float(step.mean()) if step.size else 0.0 for step in steps]


def _local_mean(values: Volume, brain: Mask, sigma: list[float]) -> Volume | None:
    """Return the local mean of tissue, in which it is positive; None if there is none."""
    mean: Volume = np.ones_like(values)
    for _ in range(ITERATIONS):
        relative = values / mean
        low, high = np.percentile(relative[brain], TISSUE_PERCENTILES) if brain.any() else (0, 0)
        tissue = brain & (relative > max(low, 0)) & (relative < high)
        if not tissue.any():
            return None
        far = FAR_WEIGHT * float(np.median(values[tissue]))
        total = ndimage.gaussian_filter(np.where(tissue, values, 0), sigma)
        weight = ndimage.gaussian_filter(tissue.astype(np.float32), sigma)
        mean = (total + np.float32(far)) / (weight + np.float32(FAR_WEIGHT))
    return mean


def _at_every_voxel(mean: Volume, places: list[NDArray[np.intp]]) -> Volume:
    """Interpolate values on a lattice linearly, axis by axis."""
    for axis, place in enumerate(places):
        along = np.interp(np.arange(place[-1] + 1), place, np.arange(len(place)))
        below = along.astype(np.intp)
        above = np.minimum(below + 1, len(place) - 1)
        share = (along - below).astype(np.float32).reshape(-1, *[1] * (2 - axis))
        low, high = mean.take(below, axis), mean.take(above, axis)
        mean = low + share * (high - low)
    return mean
