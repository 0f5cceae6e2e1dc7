"""Distances between the surfaces of a mask and of the truth, in mm.

The surface consists of the voxels of a mask that share a face with the background or the edge of
the image. Distances are measured between the centres of surface voxels.

If one mask is empty both distances are ``missed_mm``, by default the diagonal of the image, which
is longer than any real distance; if both are empty they are 0. No case is excluded.
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
    """Distances between two surfaces.

    Attributes:
        hd95_mm: 95th percentile of the distances from surface voxels to the other surface, the
            larger of the two directions (MONAI's convention, not the percentile of both directions
            pooled).
        mean_mm: mean distance, both directions pooled.
    """

    hd95_mm: float
    mean_mm: float


def surface_distance(
    mask: Mask, truth: Mask, spacing: Spacing, *, missed_mm: float | None = None
) -> SurfaceDistance:
    """Measure the distances between the surfaces of two masks.

    Args:
        mask: (I, J, K).
        truth: (I, J, K).
        spacing: mm along I, J, K.
        missed_mm: both distances if one mask is empty; None for the arrays' diagonal.
    """
    if not mask.any() and not truth.any():
        return SurfaceDistance(0.0, 0.0)
    if not mask.any() or not truth.any():
        missed = diagonal_mm(mask.shape, spacing) if missed_mm is None else missed_mm
        return SurfaceDistance(missed, missed)
    mask_points, truth_points = _surface(mask, spacing), _surface(truth, spacing)
    to_truth = _distances(mask_points, truth_points)
    to_mask = _distances(truth_points, mask_points)
    return SurfaceDistance(
        hd95_mm=float(max(np.percentile(to_truth, 95), np.percentile(to_mask, 95))),
        mean_mm=float(np.concatenate([to_truth, to_mask]).mean()),
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


def _distances(points: Points, surface: Points) -> NDArray[np.float64]:
    # Points of a grid are evenly distributed: an unbalanced tree is built much faster.
    tree = KDTree(surface, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(points)[0])
