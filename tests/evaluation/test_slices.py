"""Slices ranked by one number, against scikit-learn and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from anomri.evaluation import RankedSlices, pooled_slice_auroc, slice_auroc, summarise_slices


def scan(seed: int, shift: float = 1.0, n: int = 40) -> RankedSlices:
    rng = np.random.default_rng(seed)
    lesion = rng.random(n) > 0.6
    # in steps of a tenth, so that there are ties
    scores = (10 * (rng.normal(size=n) + shift * lesion)).astype(np.int64) / 10
    return RankedSlices(scores, lesion)


@pytest.mark.parametrize("seed", range(5))
def test_auroc_is_scikit_learns(seed: int) -> None:
    slices = scan(seed)
    expected = roc_auc_score(slices.lesion, slices.scores)
    assert slice_auroc(slices) == pytest.approx(expected, abs=1e-12)


def test_auroc_by_hand() -> None:
    slices = RankedSlices(np.array([1.0, 2, 2, 3]), np.array([False, True, False, True]))
    assert slice_auroc(slices) == pytest.approx(3.5 / 4)


def test_auroc_needs_both_kinds_of_slices() -> None:
    assert math.isnan(slice_auroc(RankedSlices(np.ones(3), np.ones(3, bool))))
    assert math.isnan(pooled_slice_auroc([]).estimate)


def test_pooled_is_over_all_slices_and_not_the_mean_of_scans() -> None:
    one = RankedSlices(np.array([1.0, 2]), np.array([False, True]))
    other = RankedSlices(np.array([11.0, 12]), np.array([False, True]))
    pooled = pooled_slice_auroc([one, other])
    assert slice_auroc(one) == slice_auroc(other) == 1
    assert pooled.estimate == pytest.approx(3 / 4)


def test_interval_holds_the_estimate_and_is_reproducible() -> None:
    scans = [scan(seed) for seed in range(6)]
    pooled = pooled_slice_auroc(scans)
    assert pooled.lower < pooled.estimate < pooled.upper
    assert pooled == pooled_slice_auroc(scans)
    assert math.isnan(pooled_slice_auroc(scans[:1]).lower)


def test_a_table_of_slices_is_summed_up_per_score() -> None:
    scores: dict[str, list[float | None]] = {"a": [1.0, 2.0], "b": [11.0, 12.0], "c": [None, 5.0]}
    rows = [
        {"subject": name, "slice": k, "lesion_voxels": 7 * k, "mean_residual": score}
        for name, pair in scores.items()
        for k, score in enumerate(pair)
    ]
    (summary,) = summarise_slices(rows)
    assert summary["metric"] == "slice_auroc_mean_residual"
    # 2 above 1; 5 above 1; 12 above both; 2 and 5 below 11
    assert summary["mean"] == pytest.approx(4 / 6)
    assert (summary["median"], summary["n"], summary["undefined"]) == (1.0, 2, 1)
