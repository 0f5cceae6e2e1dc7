"""Growth of bright parts to half of their contrast to the tissue around them.

One level for the whole brain cuts bright parts short where the tissue around them is dark: a rim
in the dark edema of a tumour enhances visibly and is still no brighter than white matter elsewhere.
The border of a blurred object lies at half of its height (full width at half maximum).

:mod:`anomri.postprocessing.lesion_borders` does the same for small lesions. There each voxel has a
level, from the peak and the mean of the tissue near it; here each part has one, from medians.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.components import TOUCHING, Components
from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.state import SegmentationState
from anomri.scan import Mask, Volume

HALF = 0.5
LOWEST_FRACTION = 0.5  # of the level of the mask: darker than this nothing is bright
BORDER_MM = 1.5  # partial volume next to a bright part says nothing of the tissue around it
FEWEST_VOXELS = 30  # around a bright part, for a median


def grow_to_half_maximum(
    bright: SegmentationState, within: Mask, *, mm: float
) -> SegmentationState:
    """Grow each bright part to half of its contrast to the tissue around it.

    The level of a part is half way between its median and that of the tissue within ``mm``, but
    neither above the level of the mask, which is its lowest value, nor below half of it. A voxel
    within ``mm`` joins the nearest part if it is above the level of that part and connected to one.

    Args:
        bright: map and mask of the bright parts, which lie in ``within``.
        within: (I, J, K), such as a tumour: what is outside neither counts nor joins.
        mm: how far parts grow, and how far the tissue reaches that they are compared with.
    """
    if not bright.lesion.any():
        return bright
    box = crop_around(bright.lesion, tuple(int(mm / side) + 1 for side in bright.spacing))
    grown = np.zeros_like(bright.lesion)
    grown[box] = _grown(bright.values[box], bright.lesion[box], within[box], bright.spacing, mm)
    return bright.with_mask(grown)


def _grown(
    values: Volume, parts: Mask, within: Mask, spacing: tuple[float, float, float], mm: float
) -> Mask:
    """Return the parts and what joins them."""
    numbers, _ = ndimage.label(parts, structure=TOUCHING)
    away, index = ndimage.distance_transform_edt(~parts, sampling=spacing, return_indices=True)
    nearest = numbers[tuple(index)]
    around = within & (away > BORDER_MM) & (away <= mm)
    levels = _levels(values, parts, around, nearest)
    return Components(parts | (within & (away <= mm) & (values > levels[nearest]))).holding(parts)


def _levels(
    values: Volume, parts: Mask, around: Mask, nearest: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the level of each part by its number; entry 0 is the level of all.

    Args:
        values: of the map.
        parts: mask of all parts.
        around: mask of the tissue around them.
        nearest: number of the nearest part.
    """
    level = float(values[parts].min())
    levels = np.full(int(nearest.max()) + 1, level, dtype=np.float32)
    bright = np.where(parts, nearest, 0)
    darker = np.where(around & (values < level), nearest, 0)
    for number, counted in enumerate(np.bincount(darker.ravel(), minlength=len(levels))):
        if number and counted >= FEWEST_VOXELS:
            high, low = (float(np.median(values[part == number])) for part in (bright, darker))
            half = low + HALF * (high - low)
            levels[number] = np.clip(half, LOWEST_FRACTION * level, level)
    return levels
