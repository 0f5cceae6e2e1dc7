"""ROC-AUC of slice scores, which separate axial slices with lesion from those without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from anomri.evaluation.intervals import Interval

RESAMPLES = 2000
NOT_SCORES = ("subject", "slice", "lesion_voxels")


@dataclass(frozen=True, slots=True)
class RankedSlices:
    """Scores and labels of the axial slices of one scan.

    Attributes:
        scores: (n,) higher is more abnormal.
        lesion: (n,) whether the slice contains lesion voxels.
    """

    scores: NDArray[np.float64]
    lesion: NDArray[np.bool_]


def slice_auroc(slices: RankedSlices) -> float:
    """Return the ROC-AUC of the slice scores; NaN if one of the classes is missing.

    With the slices of all scans this is the ROC-AUC of Table 3 of Weninger et al.; see
    :func:`pooled_slice_auroc`.
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
        scans: slices of each scan; scans are resampled, because their slices are correlated.
        seed: seed of the resampling.
    """
    estimate = slice_auroc(_pooled(scans))
    if len(scans) < 2 or np.isnan(estimate):
        return Interval(estimate, float("nan"), float("nan"))
    draws = np.random.default_rng(seed).integers(len(scans), size=(RESAMPLES, len(scans)))
    drawn = [slice_auroc(_pooled([scans[n] for n in draw])) for draw in draws]
    lower, upper = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(estimate, float(lower), float(upper))


def summarise_slices(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row like those of :func:`summarise` for each slice score.

    Args:
        rows: one per slice, with ``subject``, ``slice``, ``lesion_voxels`` and the scores, which
            may be None.

    Returns:
        ``slice_auroc_<score>``, with the pooled value as ``mean`` and its interval; ``median`` and
        ``sd`` over the ``n`` scans that have slices of both classes.
    """
    names = dict.fromkeys(name for row in rows for name in row if name not in NOT_SCORES)
    return [{"metric": f"slice_auroc_{name}", **_summary(_of_scans(rows, name))} for name in names]


def _of_scans(rows: Sequence[Mapping[str, Any]], name: str) -> list[RankedSlices]:
    """Group the slices that have the score by scan."""
    scans: dict[str, list[tuple[float, bool]]] = {}
    for row in rows:
        if row.get(name) is not None:
            entry = float(row[name]), row["lesion_voxels"] > 0
            scans.setdefault(row["subject"], []).append(entry)
    return [
        RankedSlices(
            np.array([score for score, _ in slices]), np.array([lesion for _, lesion in slices])
        )
        for slices in scans.values()
    ]


def _summary(scans: Sequence[RankedSlices]) -> dict[str, Any]:
    pooled = pooled_slice_auroc(scans)
    scan_values = np.array([slice_auroc(scan) for scan in scans])
    defined = scan_values[~np.isnan(scan_values)]
    return {
        "mean": pooled.estimate,
        "lower": pooled.lower,
        "upper": pooled.upper,
        "median": float(np.median(defined)) if defined.size else float("nan"),
        "sd": float(defined.std(ddof=1)) if defined.size > 1 else float("nan"),
        "n": int(defined.size),
        "undefined": int(scan_values.size - defined.size),
        "absent": 0,
    }


def _pooled(scans: Sequence[RankedSlices]) -> RankedSlices:
    return RankedSlices(
        np.concatenate([np.zeros(0), *(scan.scores for scan in scans)]),
        np.concatenate([np.zeros(0, bool), *(scan.lesion for scan in scans)]),
    )
