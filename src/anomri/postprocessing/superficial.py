"""Removal of what lies at the brain's surface: scalp, dura and cortex that a brain mask left in."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.components import Components
from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Size


def remove_superficial(
    state: SegmentationState, *, rim_mm: Size = 4.0, within_mm: Size = 8.0
) -> SegmentationState:
    """Remove the components that reach the outer rim of the brain and mostly lie close to it.

    A lesion of the white matter that touches the cortex reaches deeper than it is wide at the
    surface. What a brain mask drawn too wide leaves in is a sheet along it.

    Args:
        state: the mask, in the whole brain.
        rim_mm: thickness of the rim; a component reaches it if a voxel of it is at most one voxel
            (along the shortest side) deeper.
        within_mm: largest median depth of a component that is removed.
    """
    components = Components(state.lesion)
    if not components.count:
        return state
    inside = components.labels > 0
    depths, labels = _depth_mm(state)[components.box][inside], components.labels[inside]
    numbers = np.arange(1, components.count + 1)
    reached = ndimage.minimum(depths, labels, numbers) <= rim_mm + min(state.spacing)
    close = ndimage.median(depths, labels, numbers) <= within_mm
    return state.with_mask(components.select(np.concatenate([[False], ~(reached & close)])))


def _depth_mm(state: SegmentationState) -> NDArray[np.float64]:
    """Return (I, J, K) distances from the outside of the brain; beyond the array is outside."""
    depth = np.zeros(state.brain.shape)
    box = crop_around(state.brain)
    brain = state.brain[box]
    depth[box] = _depth_of(np.packbits(brain).tobytes(), brain.shape, state.spacing)
    return depth


@lru_cache(maxsize=1)  # a scan is segmented at three thresholds
def _depth_of(
    packed: bytes, shape: tuple[int, ...], spacing: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return the depths in a brain that fills its box, given in bits so that they are kept."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=prod(shape)).reshape(shape)
    framed = np.pad(bits.astype(bool), 1)
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(framed, sampling=spacing)
    return depth[1:-1, 1:-1, 1:-1]
