"""How well one number per axial slice tells slices with lesion from those without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from anomri.evaluation.intervals import Interval
from anomri.scan import Mask

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class RankedSlices:
    """The axial slices of one scan.

    Attributes:
        scores: (n,) higher is more abnormal.
        lesion: (n,) whether the slice holds any lesion.
    """

    scores: NDArray[np.float64]
    lesion: NDArray[np.bool_]

    @classmethod
    def of(cls, scores: Sequence[float | None], truth: Mask, brain: Mask) -> RankedSlices:
        """Take the slices that hold brain and have a score.

        Args:
            scores: one per slice along K, None or NaN where there is none.
            truth: (I, J, K).
            brain: (I, J, K).
        """
        numbers = np.array([np.nan if score is None else score for score in scores], np.float64)
        held, lesion = (np.asarray(mask.any(axis=(0, 1))) for mask in (brain, truth))
        counted = held & ~np.isnan(numbers)
        return cls(numbers[counted], lesion[counted])


def slice_auroc(slices: RankedSlices) -> float:
    """Return the share of pairs of a slice with and one without lesion that are in order.

    Ties count half; NaN where one of the two is missing. This is the ROC-AUC of Table 3 of
    Weninger et al. once the slices of all scans are in ``slices``; see :func:`pooled_slice_auroc`.
    """
    lesion = slices.lesion
    with_lesion = int(lesion.sum())
    pairs = with_lesion * (lesion.size - with_lesion)
    if not pairs:
        return float("nan")
    ranks = rankdata(slices.scores)[lesion].sum() - with_lesion * (with_lesion + 1) / 2
    return float(ranks / pairs)


def pooled_slice_auroc(scans: Sequence[RankedSlices], *, seed: int = 0) -> Interval:
    """Return the ROC-AUC over the slices of all scans, with its bootstrap interval over scans.

    Args:
        scans: the slices of each; whole scans are drawn, because slices of one are alike.
        seed: the same one gives the same interval.
    """
    estimate = slice_auroc(_together(scans))
    if len(scans) < 2 or np.isnan(estimate):
        return Interval(estimate, float("nan"), float("nan"))
    draws = np.random.default_rng(seed).integers(len(scans), size=(RESAMPLES, len(scans)))
    drawn = [slice_auroc(_together([scans[n] for n in draw])) for draw in draws]
    lower, upper = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(estimate, float(lower), float(upper))


def _together(scans: Sequence[RankedSlices]) -> RankedSlices:
    return RankedSlices(
        np.concatenate([np.zeros(0), *(one.scores for one in scans)]),
        np.concatenate([np.zeros(0, bool), *(one.lesion for one in scans)]),
    )
