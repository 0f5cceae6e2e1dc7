from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from anomri.evaluation import confusion, dice, rank
from anomri.scan import Mask, Volume

from_levels = hnp.arrays(np.float32, (40,), elements=st.integers(-6, 6).map(float))
bits = hnp.arrays(np.bool_, (40,))
Case = tuple[Volume, Mask, Mask]


def dice_above(values: NDArray[np.floating], truth: Mask, brain: Mask, threshold: float) -> float:
    return dice(confusion(values > threshold, truth, brain))


@settings(deadline=None)
@given(from_levels, bits, bits)
def test_against_sklearn_with_many_ties(values: Volume, truth: Mask, brain: Mask) -> None:
    brain[:2], truth[:2] = True, [True, False]
    found = rank(values, truth, brain)
    labels, scores = truth[brain], values[brain]
    assert found.auprc == pytest.approx(average_precision_score(labels, scores))
    assert found.auroc == pytest.approx(roc_auc_score(labels, scores))


@settings(deadline=None)
@given(from_levels, bits, bits)
def test_oracle_is_the_best_of_all_thresholds(values: Volume, truth: Mask, brain: Mask) -> None:
    brain[0] = truth[0] = True
    found = rank(values, truth, brain)
    labels = truth[brain]
    every = [
        f1_score(labels, values[brain] > threshold)
        for threshold in (-7, *np.unique(values[brain]))
        if (values[brain] > threshold).any()
    ]
    assert found.oracle_dice == pytest.approx(max(every))
    reached = dice_above(values, truth, brain, found.oracle_threshold)
    assert reached == pytest.approx(found.oracle_dice)


@pytest.mark.parametrize(("scale", "shift"), [(1e-4, 0.0), (512.0, -3.0), (0.125, 1e3)])
def test_only_the_order_counts(make_case: Callable[..., Case], scale: float, shift: float) -> None:
    values, truth, brain = make_case(1, levels=8)
    before = rank(values, truth, brain)
    moved = values.astype(np.float64) * scale + shift
    after = rank(moved, truth, brain)  # type: ignore[arg-type]
    assert (after.auprc, after.auroc, after.oracle_dice) == (
        before.auprc,
        before.auroc,
        before.oracle_dice,
    )
    reached = dice_above(moved, truth, brain, after.oracle_threshold)
    assert reached == pytest.approx(after.oracle_dice)


def test_order_of_voxels_does_not_count(make_case: Callable[..., Case]) -> None:
    values, truth, brain = make_case(2)
    shuffled = np.random.default_rng(0).permutation(values.size)
    moved = values.ravel()[shuffled], truth.ravel()[shuffled], brain.ravel()[shuffled]
    assert rank(*moved) == rank(values, truth, brain)


def test_negated_map_ranks_the_other_way_round(make_case: Callable[..., Case]) -> None:
    values, truth, brain = make_case(3)
    assert rank(-values, truth, brain).auroc == pytest.approx(1 - rank(values, truth, brain).auroc)


def test_by_hand() -> None:
    values = np.asarray([4.0, 3.0, 2.0, 1.0, 9.0], dtype=np.float32)
    truth = np.asarray([1, 0, 1, 0, 0], dtype=bool)
    brain = np.asarray([1, 1, 1, 1, 0], dtype=bool)  # the 9 does not count
    found = rank(values, truth, brain)
    assert found.auprc == pytest.approx((1 + 2 / 3) / 2)
    assert found.auroc == 0.75
    assert found.oracle_dice == pytest.approx(0.8)
    assert found.oracle_threshold == 1.0


def test_neighbouring_floats_are_told_apart() -> None:
    low = np.float32(1.0)
    values = np.asarray([low, np.nextafter(low, np.float32(2.0))], dtype=np.float32)
    truth, brain = np.asarray([False, True]), np.ones(2, dtype=bool)
    found = rank(values, truth, brain)
    assert found.oracle_dice == 1.0
    assert (values > found.oracle_threshold).tolist() == [False, True]


def test_all_voxels_alike() -> None:
    values, brain = np.full(8, 2.5, dtype=np.float32), np.ones(8, dtype=bool)
    truth = np.arange(8) < 2
    found = rank(values, truth, brain)
    assert (found.auprc, found.auroc) == (0.25, 0.5)
    assert found.oracle_dice == pytest.approx(0.4)
    assert (values > found.oracle_threshold).all()


def test_without_lesion_and_without_anything_else() -> None:
    values, brain = np.arange(5, dtype=np.float32), np.ones(5, dtype=bool)
    none = rank(values, ~brain, brain)
    assert math.isnan(none.auprc)
    assert math.isnan(none.auroc)
    assert none.oracle_dice == 1.0
    assert not (values > none.oracle_threshold).any()
    assert rank(values, ~brain, brain, empty=0.0).oracle_dice == 0.0
    everything = rank(values, brain, brain)
    assert math.isnan(everything.auroc)
    assert (everything.auprc, everything.oracle_dice) == (1.0, 1.0)
    assert math.isnan(rank(values, brain, ~brain).oracle_threshold)


def test_nan_is_refused_only_inside_the_brain() -> None:
    values = np.asarray([np.nan, 1, 2], dtype=np.float32)
    truth = np.asarray([0, 0, 1], dtype=bool)
    assert rank(values, truth, np.asarray([0, 1, 1], dtype=bool)).auroc == 1.0
    with pytest.raises(ValueError, match="got NaN"):
        rank(values, truth, np.ones(3, dtype=bool))
