"""Agreement of a mask with the truth, voxel by voxel inside the brain.

Background is never counted: it is trivially right and would raise every specificity to 1.

Empty masks: where there is nothing to find and nothing was found, a ratio is not defined and is
``empty``, 1 unless told otherwise (``nan`` leaves it undefined). Where only one of the two masks
is empty, Dice, sensitivity and precision are 0.
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
    """How many voxels were judged how.

    Attributes:
        true_positive: lesion, and marked.
        false_positive: marked, but no lesion.
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
    false_alarms, missed = _count(marked) - hits, _count(lesion) - hits
    return Confusion(hits, false_alarms, missed, voxels - hits - false_alarms - missed)


def dice(counts: Confusion, *, empty: float = 1.0) -> float:
    """Return ``2 TP / (2 TP + FP + FN)``; ``empty`` where both masks are."""
    hits = 2 * counts.true_positive
    return _ratio(hits, hits + counts.false_positive + counts.false_negative, empty)


def sensitivity(counts: Confusion, *, empty: float = 1.0) -> float:
    """Return ``TP / (TP + FN)``; ``empty`` where both masks are, 0 where only the truth is."""
    lesion = counts.true_positive + counts.false_negative
    return _ratio(counts.true_positive, lesion, 0.0 if counts.false_positive else empty)


def precision(counts: Confusion, *, empty: float = 1.0) -> float:
    """Return ``TP / (TP + FP)``; ``empty`` where both masks are, 0 where only the mask is."""
    marked = counts.true_positive + counts.false_positive
    return _ratio(counts.true_positive, marked, 0.0 if counts.false_negative else empty)


def specificity(counts: Confusion, *, empty: float = float("nan")) -> float:
    """Return ``TN / (TN + FP)``, the share of healthy brain that is left unmarked.

    Args:
        counts: of brain voxels.
        empty: the result where no voxel is healthy.
    """
    healthy = counts.true_negative + counts.false_positive
    return _ratio(counts.true_negative, healthy, empty)


def slice_dice(
    mask: Mask, truth: Mask, brain: Mask, *, lesion_free: Literal["zero", "skip", "empty"] = "zero"
) -> float:
    """Return the mean Dice over the axial slices that hold brain, NaN where no slice counts.

    Args:
        mask: (I, J, K).
        truth: (I, J, K).
        brain: (I, J, K).
        lesion_free: what a slice without lesion counts as. ``zero`` is 0 whatever the mask, so
            that the best possible result is the share of slices with lesion, as in Table 2 of
            Weninger et al.; ``skip`` leaves such slices out; ``empty`` is 1 where nothing is
            marked and 0 where something is. Their section 5.3 must have done one of the two.
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
