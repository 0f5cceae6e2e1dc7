"""Slices ranked by one number, against scikit-learn and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from anomri.evaluation import RankedSlices, pooled_slice_auroc, slice_auroc


def scan(seed: int, shift: float = 1.0, n: int = 40) -> RankedSlices:
    rng = np.random.default_rng(seed)
    lesion = rng.random(n) > 0.6
    scores: NDArray[np.float64] = np.round(
        rng.normal(size=n) + shift * lesion, 1
    )  # rounded, so that there are ties
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


def test_only_slices_with_brain_and_score_count() -> None:
    brain, truth = np.ones((2, 2, 4), bool), np.zeros((2, 2, 4), bool)
    brain[..., 0] = False
    truth[0, 0, 2] = True
    slices = RankedSlices.of([5.0, None, 3.0, float("nan")], truth, brain)
    assert slices.scores.tolist() == [3.0]
    assert slices.lesion.tolist() == [True]
