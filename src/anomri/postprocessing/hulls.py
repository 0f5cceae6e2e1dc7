"""Exact convex hulls of masks.

A voxel belongs to the hull if its centre lies in or on the convex hull of the mask's voxel centres.
Convexity does not depend on the spacing, so the computation uses voxel indices. Voxels are not
tested one by one: a line of voxels along the last axis intersects a convex body in one interval,
whose ends follow from the facets.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from anomri.postprocessing.morphology import crop_around
from anomri.scan import Mask

Points = NDArray[np.float64]  # (N, D) voxel indices
Marks = NDArray[np.bool_]  # one to three dimensions

# In any box of up to 300 voxels, centres that are not on a facet are farther from it than this.
ON_FACET = 1e-6


def fill_hull(mask: Mask, dims: Literal[2, 3]) -> Mask:
    """Return the convex hull of ``mask`` (I, J, K): of the volume (3) or of each slice (2)."""
    hull = np.zeros_like(mask)
    box = crop_around(mask)
    if dims == 3:
        hull[box] = _filled(mask[box])
        return hull
    for k in np.flatnonzero(mask.any(axis=(0, 1))):
        mask_slice, hull_slice = mask[:, :, k : k + 1], hull[:, :, k : k + 1]
        box = crop_around(mask_slice)
        hull_slice[box] = _filled(mask_slice[box])
    return hull


def _filled(mask: Marks) -> Marks:
    """Return the hull of a mask whose bounding box is the whole array."""
    if mask.size == 0 or mask.all():
        return mask
    if 1 in mask.shape:  # flat along an axis
        return _filled(mask.squeeze()).reshape(mask.shape)
    if mask.ndim == 1:
        return np.ones_like(mask)
    points = _line_ends(mask)
    normal = _common_normal(points)
    if normal is not None:
        return _filled_in_plane(mask.shape, points, normal)
    facets = ConvexHull(points).equations
    if mask.ndim == 3:  # Qhull splits facets with more than three corners into coplanar triangles
        facets = np.unique(facets, axis=0)
    return _between_facets(mask.shape, facets)


def _line_ends(mask: Marks) -> Points:
    """Return the first and last voxel of each line along the last axis, the possible corners."""
    occupied = mask.any(axis=-1)
    first = mask.argmax(axis=-1)
    last = mask.shape[-1] - 1 - mask[..., ::-1].argmax(axis=-1)
    ends = [
        np.column_stack([np.argwhere(lines), along[lines]])
        for lines, along in ((occupied, first), (occupied & (last > first), last))
    ]
    return np.concatenate(ends).astype(np.float64)


def _common_normal(points: Points) -> Points | None:
    """Return the normal (D,) of the plane that holds all points; None where there is none."""
    dims, apart = points.shape[1], points - points[0]
    # Whole numbers: in two dimensions the cross products tell exactly, without a decomposition.
    if dims == 2 and np.any(apart[:, 0] * apart[-1, 1] != apart[:, 1] * apart[-1, 0]):
        return None
    # Rows of zeros give D singular values even where there are fewer points than dimensions.
    centred = np.concatenate([points - points.mean(axis=0), np.zeros((dims, dims))])
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    if spread[-1] > ON_FACET:
        return None
    normal: Points = directions[-1]
    return normal


def _filled_in_plane(shape: tuple[int, ...], points: Points, normal: Points) -> Marks:
    """Fill the hull of coplanar (in 2-D collinear) points by way of its projection on an axis."""
    axis = int(np.argmax(np.abs(normal)))
    kept = [n for n in range(len(shape)) if n != axis]
    projection = np.zeros([shape[n] for n in kept], dtype=bool)
    projection[tuple(points[:, kept].astype(np.intp).T)] = True
    filled = np.argwhere(_filled(projection))
    height = (normal @ points[0] - filled @ normal[kept]) / normal[axis]
    rounded = np.rint(height)
    on_grid = np.abs(height - rounded) < ON_FACET * max(shape)
    voxels = np.insert(filled[on_grid], axis, rounded[on_grid].astype(np.intp), axis=1)
    hull = np.zeros(shape, dtype=bool)
    hull[tuple(voxels.T)] = True
    return hull


def _between_facets(shape: tuple[int, ...], equations: Points) -> Marks:
    """Mark the voxels on the inner side of every facet.

    Args:
        shape: shape of the array.
        equations: (F, D + 1), ``normal @ point + offset <= 0`` inside.
    """
    lines = np.indices(shape[:-1]).reshape(len(shape) - 1, -1)
    level = equations[:, :-2] @ lines + equations[:, -1:] - ON_FACET
    slope = equations[:, -2]
    upward, downward = slope > ON_FACET, slope < -ON_FACET
    high = (-level[upward] / slope[upward, None]).min(axis=0, initial=shape[-1])
    low = (-level[downward] / slope[downward, None]).max(axis=0, initial=-1)
    high[(level[~(upward | downward)] > 0).any(axis=0)] = -1  # the line misses the hull
    along = np.arange(shape[-1])
    inside: Marks = (along >= low[:, None]) & (along <= high[:, None])
    return inside.reshape(shape)
