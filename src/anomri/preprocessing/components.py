"""Connected regions of a mask in three dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.preprocessing.grids import brain_box
from anomri.scan import Mask


def solid(mask: Mask) -> Mask:
    """Return the largest component of ``mask`` without its holes."""
    result = np.zeros_like(mask)
    if not mask.any():
        return result
    box = brain_box(mask)
    result[box] = filled(largest(np.ascontiguousarray(mask[box])))
    return result


def largest(mask: Mask) -> Mask:
    """Return the largest component of ``mask``; voxels that share a face belong together."""
    labels, count = _components(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    biggest: Mask = labels == sizes.argmax()
    return biggest


def filled(mask: Mask) -> Mask:
    """Return ``mask`` without its holes: all that the outside cannot reach."""
    # Labelling the outside is far quicker than growing it, as scipy's own filling does.
    labels, _ = _components(np.pad(~mask, 1, constant_values=True))
    outside = labels == labels[0, 0, 0]
    inside: Mask = ~outside[1:-1, 1:-1, 1:-1]
    return inside


def _components(mask: Mask) -> tuple[NDArray[np.int32], int]:
    labels, count = ndimage.label(mask)
    return labels.astype(np.int32, copy=False), int(count)
