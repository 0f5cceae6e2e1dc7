"""Segmentation of a map with a threshold. All masks stay inside the brain."""

from __future__ import annotations

from math import inf
from typing import Literal

import numpy as np

from anomri.postprocessing.components import Components
from anomri.postprocessing.mixture import fit_mixture
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Count, Share, Size
from anomri.scan import Mask


def above(state: SegmentationState, threshold: float) -> SegmentationState:
    """Mark the voxels above the threshold."""
    return state.with_mask(_above(state, threshold))


def hysteresis(state: SegmentationState, threshold: float, *, low: float) -> SegmentationState:
    """Mark the components of ``values > low`` that hold a voxel above the threshold.

    Args:
        state: the map.
        threshold: level that a lesion must exceed somewhere.
        low: level down to which the lesion extends; at most the threshold.
    """
    extent = Components(_above(state, min(low, threshold)))
    return state.with_mask(extent.holding(_above(state, threshold)))


def grow(  # noqa: PLR0913 - the options of a recipe's step
    state: SegmentationState,
    threshold: float,
    *,
    fraction: Share = 0.45,
    min_level: float = 1.5,
    max_level: float = inf,
    fallback: float = 3.0,
    smallest_core_ml: Size = 0.675,
    min_relative_weight: Share = 0.1,
) -> SegmentationState:
    """Grow the core down to a level relative to the lesion's own brightness.

    The core is the set of voxels above the threshold. The mask consists of the components of
    ``values > level`` that contain core voxels and have at least ``min_relative_weight`` times the
    weight of the heaviest component; a component's weight is the sum of ``value - level`` over its
    voxels. The defaults were chosen on FLAIR of 16 gliomas of BraTS 2018.

    Args:
        state: the map; the defaults assume robust standard deviations.
        threshold: level above which voxels belong to the core.
        fraction: the level as a fraction of the core's median.
        min_level: lower bound of the level.
        max_level: upper bound of the level.
        fallback: the level if the core is smaller than ``smallest_core_ml``.
        smallest_core_ml: smallest core whose median is used.
        min_relative_weight: smallest weight of a component relative to the heaviest; removes
            satellites.
    """
    core = _above(state, threshold)
    level = fallback
    if core.sum() >= max(state.voxels_in(smallest_core_ml), 1):
        level = min(max_level, max(min_level, fraction * float(np.median(state.values[core]))))
    extent = _above(state, level)
    components = Components(extent)
    weights = components.sums(np.where(extent, state.values - level, 0))
    heavy = weights >= min_relative_weight * weights.max(initial=0)
    return state.with_mask(components.select(heavy & (components.sums(core) > 0)))


def mixture(
    state: SegmentationState,
    _threshold: float,
    *,
    component: Literal["smallest", "brightest"] = "smallest",
    max_iterations: Count = 100,
    tolerance: Size = 1e-4,
) -> SegmentationState:
    """Mark a component of the neighbourhood-weighted Gaussian mixture; needs no threshold.

    Weninger et al., section 4.3: "the smallest of the two cluster is selected as tumor". A voxel
    belongs to the component whose posterior is above one half.

    Args:
        state: the map.
        component: the component with fewer voxels, or the one with the higher mean.
        max_iterations: limit of the EM steps.
        tolerance: smallest change of the mean log-likelihood to continue.
    """
    fit = fit_mixture(state.values, state.brain, max_iterations=max_iterations, tolerance=tolerance)
    bright = fit.posterior > 0.5
    brain_voxels, bright_voxels = (int(np.count_nonzero(m)) for m in (state.brain, bright))
    if component == "brightest" or 2 * bright_voxels <= brain_voxels:
        return state.with_mask(bright)
    return state.with_mask(~bright)


def _above(state: SegmentationState, level: float) -> Mask:
    mask: Mask = (state.values > level) & state.brain
    return mask
