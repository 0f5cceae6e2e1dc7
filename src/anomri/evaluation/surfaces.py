"""Distances between the surfaces of a mask and of the truth, in mm.

A surface is the voxels of a mask that touch what is not the mask by a face; the image's edge counts
as such. Distances run between the centres of surface voxels.

A case is never dropped: where one mask is empty both distances are ``missed_mm``, the diagonal of
the image unless told otherwise, longer than any real distance; where both are empty, 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from anomri.scan import Mask

Spacing = tuple[float, float, float]
Points = NDArray[np.float64]  # (N, 3) mm


@dataclass(frozen=True, slots=True)
class SurfaceDistance:
    """How far two surfaces are apart.

    Attributes:
        hd95_mm: 95th percentile of the distances from each surface voxel to the other surface,
            per direction; the larger of the two directions (MONAI's convention, not the
            percentile of the two sets taken together).
        mean_mm: mean of the same distances, both directions taken together.
    """

    hd95_mm: float
    mean_mm: float


def surface_distance(
    mask: Mask, truth: Mask, spacing: Spacing, *, missed_mm: float | None = None
) -> SurfaceDistance:
    """Measure the way from each surface to the other.

    Args:
        mask: (I, J, K).
        truth: (I, J, K).
        spacing: mm along I, J, K.
        missed_mm: both distances where one mask is empty; None is the arrays' diagonal.
    """
    if not mask.any() and not truth.any():
        return SurfaceDistance(0.0, 0.0)
    if not mask.any() or not truth.any():
        missed = diagonal_mm(mask.shape, spacing) if missed_mm is None else missed_mm
        return SurfaceDistance(missed, missed)
    ours, theirs = _surface(mask, spacing), _surface(truth, spacing)
    there, back = _distances(ours, theirs), _distances(theirs, ours)
    return SurfaceDistance(
        hd95_mm=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        mean_mm=float(np.concatenate([there, back]).mean()),
    )


def diagonal_mm(shape: tuple[int, ...], spacing: Spacing) -> float:
    """Return the length of an image from corner to corner."""
    return float(np.linalg.norm(np.multiply(shape, spacing)))


def _surface(mask: Mask, spacing: Spacing) -> Points:
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    inside = mask[box]
    index = np.argwhere(inside & ~ndimage.binary_erosion(inside))
    corner = [side.start for side in box]
    return np.asarray((index + corner) * spacing, dtype=np.float64)


def _distances(start: Points, goal: Points) -> NDArray[np.float64]:
    # Points of a grid are evenly spread: the tree needs no balance, and is built much faster so.
    tree = KDTree(goal, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(start)[0])
