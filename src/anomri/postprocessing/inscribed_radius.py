"""What is a mass, and what is a small or thin lesion: the ball that fits into it tells."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.postprocessing.morphology import crop_around
from anomri.scan import Mask


def largest_inscribed_radius_mm(mask: Mask, spacing: tuple[float, float, float]) -> float:
    """Return the radius of the largest ball of voxels in ``mask``, in mm; 0 where it is empty.

    The radius is the largest distance between the centres of a voxel inside and of the nearest
    one outside; what lies beyond the array is outside.

    Args:
        mask: (I, J, K).
        spacing: mm along I, J, K.
    """
    if not mask.any():
        return 0.0
    framed = np.pad(mask[crop_around(mask)], 1)
    return float(ndimage.distance_transform_edt(framed, sampling=spacing).max())
