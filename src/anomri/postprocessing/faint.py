"""Removal of what is faint among the lesions of the same scan.

The lesions of one patient and sequence are about equally bright. Where most of them are much
brighter than the threshold, a component that hardly exceeds it is more likely to be septum, choroid
plexus, cortex or noise than another lesion.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.postprocessing.components import Components
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Share

BRIGHT = 90.0  # percentile of the lesions' cores: how bright lesions are, without noise


def remove_faint(
    state: SegmentationState,
    *,
    share: Share = 0.7,
    core_above: float = 3.0,
    max_level: float = 3.75,
) -> SegmentationState:
    """Remove the components whose peak is much lower than the cores of the scan's lesions.

    Args:
        state: the map, in standard deviations of the scan's brain, and its mask.
        share: of the 90th percentile of the cores, which a component must exceed somewhere.
        core_above: voxels of the mask above this level are the cores. Without any, nothing is
            removed.
        max_level: upper bound of what a component must exceed: small lesions are fainter than
            large ones where slices are thick, and one may be much brighter than all others.
    """
    values, mask = state.values, state.lesion
    cores = values[mask & (values > core_above)]
    if not cores.size:
        return state
    level = min(share * float(np.percentile(cores, BRIGHT)), max_level)
    components = Components(mask)
    inside, numbers = components.labels > 0, np.arange(1, components.count + 1)
    # Of the mask alone: SciPy sorts all voxels that it is given.
    peaks = ndimage.maximum(values[components.box][inside], components.labels[inside], numbers)
    return state.with_mask(components.select(np.concatenate([[False], peaks > level])))
