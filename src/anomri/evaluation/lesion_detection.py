"""Lesions as wholes: how many are found, and how many of those marked are none.

A lesion is a connected component; voxels that touch by a face, an edge or a corner belong
together (26 neighbours). Empty masks are counted as in :mod:`anomri.evaluation.voxels`.
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
    """How many lesions were found.

    Attributes:
        true: lesions of the truth.
        detected: those of them that the mask overlaps.
        predicted: components of the mask.
        false: those of them that the truth does not overlap.
    """

    true: int
    detected: int
    predicted: int
    false: int

    def sensitivity(self, *, empty: float = 1.0) -> float:
        """Return detected / true; ``empty`` where there are no lesions at all, 0 where none is."""
        if self.true:
            return self.detected / self.true
        return 0.0 if self.predicted else empty

    def precision(self, *, empty: float = 1.0) -> float:
        """Return the share of predicted lesions that are none of the false ones."""
        if self.predicted:
            return 1 - self.false / self.predicted
        return 0.0 if self.true else empty

    def f1(self, *, empty: float = 1.0) -> float:
        """Return the harmonic mean of sensitivity and precision; 0 where both are."""
        found, right = self.sensitivity(empty=empty), self.precision(empty=empty)
        return 2 * found * right / (found + right) if found + right else 0.0


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
        smallest_ml: components below it are not counted, on either side. They may still overlap:
            who finds a lesion too small to count is not punished for it.
        overlap: share of its own voxels that the other side must cover before a component counts
            as matched; 0 asks for a single voxel.
    """
    true, detected = _matched(truth, mask, voxel_ml, smallest_ml, overlap)
    predicted, right = _matched(mask, truth, voxel_ml, smallest_ml, overlap)
    return LesionCounts(true, detected, predicted, predicted - right)


def found_by_volume(
    mask: Mask, truth: Mask, *, voxel_ml: float, edges_ml: Sequence[float]
) -> list[tuple[int, int]]:
    """Count the lesions of each class of volume, and those of them that the mask overlaps.

    Args:
        mask: (I, J, K).
        truth: (I, J, K).
        voxel_ml: volume of a voxel.
        edges_ml: between the classes, ascending; a lesion on an edge belongs to the class above.

    Returns:
        One pair more than edges: lesions of the truth, and those detected, from small to large.
    """
    sizes, covered = _sizes(truth, mask)
    volumes = sizes * voxel_ml
    classes = pairwise((0.0, *edges_ml, np.inf))
    within = [(low <= volumes) & (volumes < high) for low, high in classes]
    return [(int(one.sum()), int((one & (covered > 0)).sum())) for one in within]


def _matched(
    lesions: Mask, other: Mask, voxel_ml: float, smallest_ml: float, overlap: float
) -> tuple[int, int]:
    """Count the components of ``lesions``, and those that ``other`` covers enough of."""
    sizes, covered = _sizes(lesions, other)
    counted = sizes * voxel_ml >= smallest_ml
    matched = counted & (covered > 0) & (covered >= overlap * sizes)
    return int(counted.sum()), int(matched.sum())


def _sizes(lesions: Mask, other: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count the voxels of each component, and those of them that ``other`` marks."""
    if not lesions.any():
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    (box,) = ndimage.find_objects(lesions.astype(np.uint8))
    numbers, count = ndimage.label(lesions[box], structure=TOUCHING)
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)
    covered = np.bincount(numbers[other[box]], minlength=count + 1)
    return sizes[1:], covered[1:]
