"""Largest inscribed ball of a mask, which separates masses from small or thin lesions."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.postprocessing.morphology import crop_around
from anomri.scan import Mask


def largest_inscribed_radius_mm(mask: Mask, spacing: tuple[float, float, float]) -> float:
    """Return the radius of the largest ball inside ``mask`` in mm; 0 for an empty mask.

    Thick slices, in whichever direction, are divided into slices about as thin as the voxels are
    wide: otherwise a ball as wide as a slice is thick would fit into a single slice.

    This is the maximum of the Euclidean distance transform: the distance from a voxel's centre to
    that of the nearest voxel outside. Voxels beyond the array are outside.

    Args:
        mask: (I, J, K).
        spacing: mm along I, J, K.
    """
    if not mask.any():
        return 0.0
    width, divided = sorted(spacing)[1], mask[crop_around(mask)]
    parts = [max(round(side / width), 1) for side in spacing]
    for axis, count in enumerate(parts):
        divided = np.repeat(divided, count, axis)
    framed = np.pad(divided, 1)
    thin = [side / count for side, count in zip(spacing, parts, strict=True)]
    return float(ndimage.distance_transform_edt(framed, sampling=thin).max())
