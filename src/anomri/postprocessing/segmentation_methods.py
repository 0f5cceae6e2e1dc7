"""From a map and a threshold to a mask. Every decision stays inside the brain."""

from __future__ import annotations

from typing import Literal

import numpy as np

from anomri.postprocessing.components import Components
from anomri.postprocessing.mixture import fit_mixture
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Count, Share, Size
from anomri.scan import Mask


def above(state: SegmentationState, threshold: float) -> SegmentationState:
    """Mark what is above the threshold."""
    return state.with_mask(_above(state, threshold))


def hysteresis(state: SegmentationState, threshold: float, *, low: float) -> SegmentationState:
    """Mark the components of ``values > low`` that reach above the threshold somewhere.

    Args:
        state: the map.
        threshold: what a lesion must reach.
        low: how far down a lesion extends; no higher than the threshold.
    """
    core = _above(state, threshold)
    components = Components(_above(state, min(low, threshold)))
    return state.with_mask(components.only(components.sums(core) > 0))


def grow(
    state: SegmentationState,
    threshold: float,
    *,
    fraction: Share = 0.45,
    lowest: float = 1.5,
    fallback: float = 3.0,
    smallest_core_ml: Size = 0.675,
    heaviness: Share = 0.1,
) -> SegmentationState:
    """Grow the core down to a level that follows the lesion's own brightness.

    The core is what lies above the threshold. The mask is made of the components of
    ``values > level`` that hold some core and weigh at least ``heaviness`` of the heaviest
    component; a component weighs the sum of ``value - level`` over its voxels. The defaults were
    chosen on FLAIR in robust standard deviations, 16 gliomas of BraTS 2018.

    Args:
        state: the map, in robust standard deviations for the defaults to make sense.
        threshold: where the core begins.
        fraction: the level as a share of the core's median.
        lowest: the level never falls below this.
        fallback: the level where the core is too small to tell.
        smallest_core_ml: a core below this volume is too small to tell.
        heaviness: share of the heaviest component's weight; drops satellites.
    """
    core = _above(state, threshold)
    level = fallback
    if core.sum() >= max(state.voxels_in(smallest_core_ml), 1):
        level = max(lowest, fraction * float(np.median(state.values[core])))
    extent = _above(state, level)
    components = Components(extent)
    weights = components.sums(np.where(extent, state.values - level, 0))
    heavy = weights >= heaviness * weights.max(initial=0)
    return state.with_mask(components.only(heavy & (components.sums(core) > 0)))


def mixture(
    state: SegmentationState,
    _threshold: float,
    *,
    component: Literal["smallest", "brightest"] = "smallest",
    max_iterations: Count = 100,
    tolerance: Size = 1e-4,
) -> SegmentationState:
    """Mark one of two neighbourhood-weighted Gaussian components; needs no threshold.

    Weninger et al., section 4.3: "the smallest of the two cluster is selected as tumor". A voxel
    belongs to the component that is more probable than one half.

    Args:
        state: the map.
        component: the one with fewer voxels, or the one with the higher mean.
        max_iterations: the most steps of the algorithm.
        tolerance: least change of the mean log-likelihood that is worth another step.
    """
    fit = fit_mixture(state.values, state.brain, max_iterations=max_iterations, tolerance=tolerance)
    bright = fit.posterior > 0.5
    all_, brighter = (int(np.count_nonzero(mask)) for mask in (state.brain, bright))
    if component == "brightest" or 2 * brighter <= all_:
        return state.with_mask(bright)
    return state.with_mask(~bright)


def _above(state: SegmentationState, level: float) -> Mask:
    mask: Mask = (state.values > level) & state.brain
    return mask
