"""Voxel-wise agreement of a mask with the truth inside the brain.

Voxels outside the brain are never counted: they would raise every specificity to 1.

If both masks are empty, a ratio is undefined and ``empty`` is returned, by default 1. If only one
of the masks is empty, Dice, sensitivity and precision are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Mask

AXIAL = (0, 1)  # the axes within an axial slice


@dataclass(frozen=True, slots=True)
class Confusion:
    """Confusion matrix: numbers of voxels.

    Attributes:
        true_positive: lesion, and marked.
        false_positive: marked, but not lesion.
        false_negative: lesion, but not marked.
        true_negative: neither.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


def confusion(mask: Mask, truth: Mask, brain: Mask) -> Confusion:
    """Count the voxels of ``brain``; the three arrays share one shape, of any dimension."""
    marked, lesion = mask & brain, truth & brain
    voxels, hits = _count(brain), _count(marked & lesion)
    false_positives, misses = _count(marked) - hits, _count(lesion) - hits
    return Confusion(hits, false_positives, misses, voxels - hits - false_positives - misses)


def dice(counts: Confusion, *, empty: float = 1.0) -> float:
    """Return ``2 TP / (2 TP + FP + FN)``; ``empty`` if both masks are empty."""
    hits = 2 * counts.true_positive
    return _ratio(hits, hits + counts.false_positive + counts.false_negative, empty)


def sensitivity(counts: Confusion, *, empty: float = 1.0) -> float:
    """Return ``TP / (TP + FN)``; ``empty`` if both masks are empty, 0 if only the truth is."""
    lesion = counts.true_positive + counts.false_negative
    return _ratio(counts.true_positive, lesion, 0.0 if counts.false_positive else empty)


def precision(counts: Confusion, *, empty: float = 1.0) -> float:
    """Return ``TP / (TP + FP)``; ``empty`` if both masks are empty, 0 if only the mask is."""
    marked = counts.true_positive + counts.false_positive
    return _ratio(counts.true_positive, marked, 0.0 if counts.false_negative else empty)


def specificity(counts: Confusion, *, empty: float = float("nan")) -> float:
    """Return ``TN / (TN + FP)``, the share of healthy brain that is not marked.

    Args:
        counts: confusion matrix of the brain.
        empty: result if no voxel is healthy.
    """
    healthy = counts.true_negative + counts.false_positive
    return _ratio(counts.true_negative, healthy, empty)


def slice_dice(
    mask: Mask, truth: Mask, brain: Mask, *, lesion_free: Literal["zero", "skip", "empty"] = "zero"
) -> float:
    """Return the mean Dice over the axial slices that contain brain; NaN if no slice counts.

    Args:
        mask: (I, J, K).
        truth: (I, J, K).
        brain: (I, J, K).
        lesion_free: value of a slice without lesion. ``zero`` is 0 for any mask, so that the best
            possible result is the share of slices with lesion, as in Table 2 of Weninger et al.;
            ``skip`` excludes such slices; ``empty`` is 1 if nothing is marked and else 0. Their
            section 5.3 must have used ``skip`` or ``empty``.
    """
    marked, lesion = _per_slice(mask & brain), _per_slice(truth & brain)
    hits = _per_slice(mask & truth & brain)
    scores = np.divide(2 * hits, marked + lesion, out=np.zeros(hits.shape), where=lesion > 0)
    if lesion_free == "empty":
        scores = np.where((marked == 0) & (lesion == 0), 1.0, scores)
    counted = lesion > 0 if lesion_free == "skip" else brain.any(axis=AXIAL)
    return float(scores[counted].mean()) if counted.any() else float("nan")


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _per_slice(mask: Mask) -> NDArray[np.intp]:
    return np.asarray(np.count_nonzero(mask, axis=AXIAL))


def _ratio(part: int, whole: int, empty: float) -> float:
    return part / whole if whole else empty
