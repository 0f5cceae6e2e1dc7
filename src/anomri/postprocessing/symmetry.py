"""Brightness of the mirror image of a mask, which tells confluent lesions from a mass.

White-matter disease of old age and MS lies in both hemispheres: where one side is bright, the other
is too. A mass is on one side, or crosses the midline as one piece.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.components import Components
from anomri.postprocessing.state import SegmentationState
from anomri.scan import Affine

MIDLINE_MM = 6.0  # closer voxels are their own mirror image
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
CROSSING = 0.2  # share on its lesser side of a component that crosses the midline


def mirrored_brightness(state: SegmentationState, to_template: Affine) -> float:
    """Return the mean value at the mirror image of the mask, relative to that of the mask.

    It is 0 for an empty mask, for one at the midline, and for one whose largest component crosses
    the midline: symmetry then says nothing.

    Args:
        state: map and mask, higher is brighter.
        to_template: (4, 4) voxel index to mm of a template whose plane x = 0 is the midline.
    """
    if not state.lesion.any() or _largest_crosses(state, to_template):
        return 0.0
    index = np.argwhere(state.lesion)
    index = index[np.abs(_lateral_mm(index, to_template)) > MIDLINE_MM]
    mirror = np.linalg.inv(to_template) @ MIRROR @ to_template
    own = state.values[tuple(index.T)]
    if not own.size or own.mean() <= 0:
        return 0.0
    there = index @ mirror[:3, :3].T + mirror[:3, 3]
    return float(ndimage.map_coordinates(state.values, there.T, order=1).mean() / own.mean())


def _largest_crosses(state: SegmentationState, to_template: Affine) -> bool:
    components = Components(state.lesion)
    largest = components.select(np.arange(components.count + 1) == components.sizes().argmax())
    left = float(np.mean(_lateral_mm(np.argwhere(largest), to_template) < 0))
    return min(left, 1 - left) >= CROSSING


def _lateral_mm(index: NDArray[np.intp], to_template: Affine) -> NDArray[np.float64]:
    """Return (N,) mm to the right of the midline."""
    return np.asarray(index @ to_template[0, :3] + to_template[0, 3])
