"""A rough brain mask for a head with its skull, for want of a better one.

Brain is what is neither dark nor as bright as fat, survives an erosion that cuts the bridges to
scalp and eyes, and lies deepest in the head; it is grown back, closed and filled slice by slice.
A lesion must not be lost, so the upper bound is generous, and some scalp may come along.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from anomri.preprocessing.components import largest
from anomri.scan import Mask, Volume

WORK_MM = 2.0
BRAIN_RANGE = (0.4, 2.3)  # relative to the median of the head's middle
ERODE_MM = 6.0
GROW_MM = 9.0
CLOSE_MM = 8.0
HEIGHT_MM = 150.0  # from the top of the scalp to the foot of the cerebellum, and some
UNKNOWN_SPACING = (0.9, 0.9, 1000.0)  # slices of unknown distance must not touch each other

Distances = NDArray[np.float64]  # (I, J, K) mm
Side = tuple[float, ...]  # mm along I, J, K


def rough_brain(volume: Volume, spacing: tuple[float, float, float] | None) -> Mask:
    """Return (I, J, K) bool, empty where nothing like a brain was found.

    Args:
        volume: (I, J, K), RAS+, whole head.
        spacing: mm along I, J, K; None where it is unknown.
    """
    mm = spacing or UNKNOWN_SPACING
    steps = [max(round(WORK_MM / length), 1) for length in mm]
    coarse = _coarsen(volume, steps)
    side = tuple(step * length for step, length in zip(steps, mm, strict=True))
    brain = _extract(coarse, side)
    back = [np.minimum(np.arange(n) // s, c - 1) for n, s, c in _lengths(volume, steps, coarse)]
    full: Mask = brain[np.ix_(*back)]
    return full


def _extract(head: Volume, side: Side) -> Mask:
    bright = largest(head > 0.5 * _otsu(head))
    if not bright.any():
        return bright
    neck = _neck_end(bright, side)
    bright[:, :, :neck] = False
    in_head = _depth(_each_slice_filled(bright), side)
    middle = in_head > 0.5 * in_head.max()
    typical = np.median(head[middle & bright]) if (middle & bright).any() else 0.0
    tissue = (head > BRAIN_RANGE[0] * typical) & (head < BRAIN_RANGE[1] * typical)
    tissue[:, :, :neck] = False
    labels, count = ndimage.label(_depth(tissue, side) > ERODE_MM)
    if not count:
        return np.zeros_like(tissue)
    weight = ndimage.sum_labels(in_head**2, labels, np.arange(1, count + 1))
    seed = labels == 1 + int(np.argmax(weight))
    brain = (_depth(~seed, side) <= GROW_MM) & tissue
    return _each_slice_filled(_closed(brain, side))


def _neck_end(bright: Mask, side: Side) -> int:
    """Return the first slice that can hold brain, counted down from the top of the head."""
    top = int(np.flatnonzero(bright.any(axis=(0, 1)))[-1])
    return max(top + 1 - round(HEIGHT_MM / side[2]), 0) if side[2] < HEIGHT_MM else 0


def _otsu(head: Volume) -> float:
    """Otsu's threshold, blind to the brightest two per cent."""
    return float(threshold_otsu(np.minimum(head, np.percentile(head, 98))))


def _coarsen(volume: Volume, steps: list[int]) -> Volume:
    smooth = ndimage.gaussian_filter(volume, [(step - 1) / 2 for step in steps])
    coarse: Volume = smooth[tuple(slice(step // 2, None, step) for step in steps)]
    return coarse


def _lengths(volume: Volume, steps: list[int], coarse: Volume) -> zip[tuple[int, int, int]]:
    return zip(volume.shape, steps, coarse.shape, strict=True)


def _depth(mask: Mask, side: Side) -> Distances:
    """Return the mm from each voxel of a mask to its outside."""
    depth: Distances = ndimage.distance_transform_edt(mask, sampling=side)
    return depth


def _closed(mask: Mask, side: Side) -> Mask:
    """Grow and shrink by ``CLOSE_MM``, with room around the volume to grow into."""
    room = [int(CLOSE_MM / length) + 1 for length in side]
    grown = _depth(~np.pad(mask, [(n, n) for n in room]), side) <= CLOSE_MM
    closed: Mask = _depth(grown, side) > CLOSE_MM
    return closed[tuple(slice(n, -n) for n in room)]


def _each_slice_filled(mask: Mask) -> Mask:
    planes = [ndimage.binary_fill_holes(mask[:, :, k]) for k in range(mask.shape[2])]
    return np.stack(planes, axis=-1)
