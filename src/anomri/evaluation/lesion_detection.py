"""Lesion-wise detection measures.

A lesion is a connected component (26-connectivity). Empty masks are handled as in
:mod:`anomri.evaluation.voxels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.scan import Mask

TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class LesionCounts:
    """Numbers of lesions.

    Attributes:
        true: lesions of the truth.
        detected: lesions of the truth that overlap the mask.
        predicted: components of the mask.
        false: components of the mask that do not overlap the truth.
    """

    true: int
    detected: int
    predicted: int
    false: int

    def sensitivity(self, *, empty: float = 1.0) -> float:
        """Return detected / true; without true lesions 0 if any is predicted, else ``empty``."""
        if self.true:
            return self.detected / self.true
        return 0.0 if self.predicted else empty

    def precision(self, *, empty: float = 1.0) -> float:
        """Return the share of predicted lesions that are not false."""
        if self.predicted:
            return 1 - self.false / self.predicted
        return 0.0 if self.true else empty

    def f1(self, *, empty: float = 1.0) -> float:
        """Return the harmonic mean of sensitivity and precision; 0 if both are 0."""
        recall, precision = self.sensitivity(empty=empty), self.precision(empty=empty)
        return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


def count_lesions(
    mask: Mask,
    truth: Mask,
    *,
    voxel_ml: float = 0.0,
    smallest_ml: float = 0.0,
    overlap: float = 0.0,
) -> LesionCounts:
    """Match the components of two masks.

    Args:
        mask: (I, J, K).
        truth: (I, J, K).
        voxel_ml: volume of a voxel; needed only for ``smallest_ml``.
        smallest_ml: smaller components of either mask are not counted, but may match: detecting a
            lesion that is too small to count is not a false detection.
        overlap: share of a component that the other mask must cover for a match; 0 requires a
            single voxel.
    """
    true, detected = _matched(truth, mask, voxel_ml, smallest_ml, overlap)
    predicted, confirmed = _matched(mask, truth, voxel_ml, smallest_ml, overlap)
    return LesionCounts(true, detected, predicted, predicted - confirmed)


def found_by_volume(
    mask: Mask, truth: Mask, *, voxel_ml: float, edges_ml: Sequence[float]
) -> list[tuple[int, int]]:
    """Count the lesions in each class of volume, and those that the mask overlaps.

    Args:
        mask: (I, J, K).
        truth: (I, J, K).
        voxel_ml: volume of a voxel.
        edges_ml: ascending limits between the classes, see :func:`volume_classes`.

    Returns:
        For each class, from small to large, the number of lesions of the truth and of those
        detected; one class more than limits.
    """
    sizes, covered = component_sizes(truth, mask)
    volumes = sizes * voxel_ml
    members = [(low <= volumes) & (volumes < high) for low, high in volume_classes(edges_ml)]
    return [(int(member.sum()), int((member & (covered > 0)).sum())) for member in members]


def volume_classes(edges_ml: Sequence[float]) -> list[tuple[float, float]]:
    """Return the limits of each class of lesion volume, from small to large.

    >>> volume_classes([0.1, 1])
    [(0.0, 0.1), (0.1, 1), (1, inf)]

    Args:
        edges_ml: ascending limits between the classes; a lesion on a limit belongs to the class
            above.
    """
    return list(pairwise((0.0, *edges_ml, float("inf"))))


def _matched(
    lesions: Mask, other: Mask, voxel_ml: float, smallest_ml: float, overlap: float
) -> tuple[int, int]:
    """Count the components of ``lesions``, and those that ``other`` covers sufficiently."""
    sizes, covered = component_sizes(lesions, other)
    counted = sizes * voxel_ml >= smallest_ml
    matched = counted & (covered > 0) & (covered >= overlap * sizes)
    return int(counted.sum()), int(matched.sum())


def component_sizes(lesions: Mask, other: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count the voxels of each component of ``lesions``, and those that ``other`` covers."""
    if not lesions.any():
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    (box,) = ndimage.find_objects(lesions.astype(np.uint8))
    numbers, count = ndimage.label(lesions[box], structure=TOUCHING)
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)
    covered = np.bincount(numbers[other[box]], minlength=count + 1)
    return sizes[1:], covered[1:]
