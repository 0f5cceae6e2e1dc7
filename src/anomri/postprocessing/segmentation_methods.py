"""From a map and a threshold to a mask. Every decision stays inside the brain."""

from __future__ import annotations

from typing import Literal

import numpy as np

from anomri.postprocessing.components import Components
from anomri.postprocessing.mixture import fit_mixture
from anomri.postprocessing.state import Candidate
from anomri.recipe import Count, Share, Size
from anomri.scan import Mask


def above(candidate: Candidate, threshold: float) -> Candidate:
    """Mark what is above the threshold."""
    return candidate.with_mask(_above(candidate, threshold))


def hysteresis(candidate: Candidate, threshold: float, *, low: float) -> Candidate:
    """Mark the components of ``values > low`` that reach above the threshold somewhere.

    Args:
        candidate: the map.
        threshold: what a lesion must reach.
        low: how far down a lesion extends; no higher than the threshold.
    """
    core = _above(candidate, threshold)
    components = Components(_above(candidate, min(low, threshold)))
    return candidate.with_mask(components.only(components.sums(core) > 0))


def grow(
    candidate: Candidate,
    threshold: float,
    *,
    fraction: Share = 0.45,
    lowest: float = 1.5,
    fallback: float = 3.0,
    smallest_core_ml: Size = 0.675,
    heaviness: Share = 0.1,
) -> Candidate:
    """Grow the core down to a level that follows the lesion's own brightness.

    The core is what lies above the threshold. The mask is made of the components of
    ``values > level`` that hold some core and weigh at least ``heaviness`` of the heaviest
    component; a component weighs the sum of ``value - level`` over its voxels. The defaults were
    chosen on FLAIR in robust standard deviations, 16 gliomas of BraTS 2018.

    Args:
        candidate: the map, in robust standard deviations for the defaults to make sense.
        threshold: where the core begins.
        fraction: the level as a share of the core's median.
        lowest: the level never falls below this.
        fallback: the level where the core is too small to tell.
        smallest_core_ml: a core below this volume is too small to tell.
        heaviness: share of the heaviest component's weight; drops satellites.
    """
    core = _above(candidate, threshold)
    level = fallback
    if core.sum() >= max(candidate.voxels_in(smallest_core_ml), 1):
        level = max(lowest, fraction * float(np.median(candidate.values[core])))
    extent = _above(candidate, level)
    components = Components(extent)
    weights = components.sums(np.where(extent, candidate.values - level, 0))
    heavy = weights >= heaviness * weights.max(initial=0)
    return candidate.with_mask(components.only(heavy & (components.sums(core) > 0)))


def mixture(
    candidate: Candidate,
    _threshold: float,
    *,
    component: Literal["smallest", "brightest"] = "smallest",
    max_iterations: Count = 100,
    tolerance: Size = 1e-4,
) -> Candidate:
    """Mark one of two neighbourhood-weighted Gaussian components; needs no threshold.

    Weninger et al., section 4.3: "the smallest of the two cluster is selected as tumor". A voxel
    belongs to the component that is more probable than one half.

    Args:
        candidate: the map.
        component: the one with fewer voxels, or the one with the higher mean.
        max_iterations: the most steps of the algorithm.
        tolerance: least change of the mean log-likelihood that is worth another step.
    """
    fit = fit_mixture(
        candidate.values, candidate.brain, max_iterations=max_iterations, tolerance=tolerance
    )
    bright = fit.posterior > 0.5
    all_, brighter = (int(np.count_nonzero(mask)) for mask in (candidate.brain, bright))
    if component == "brightest" or 2 * brighter <= all_:
        return candidate.with_mask(bright)
    return candidate.with_mask(~bright)


def _above(candidate: Candidate, level: float) -> Mask:
    mask: Mask = (candidate.values > level) & candidate.brain
    return mask
