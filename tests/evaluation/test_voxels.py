from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics
from torchmetrics.functional.classification import binary_specificity

from anomri.evaluation import (
    Confusion,
    confusion,
    dice,
    precision,
    sensitivity,
    slice_dice,
    specificity,
)
from anomri.scan import Mask

SHAPE = (4, 5, 3)
masks = hnp.arrays(np.bool_, SHAPE)


def line(*bits: int) -> Mask:
    return np.asarray(bits, dtype=bool)


def test_counts_by_hand_and_only_inside_the_brain() -> None:
    mask, truth = line(1, 1, 0, 0, 1, 0), line(1, 0, 1, 0, 1, 1)
    brain = line(1, 1, 1, 1, 0, 0)
    assert confusion(mask, truth, brain) == Confusion(1, 1, 1, 1)


@settings(deadline=None)
@given(masks, masks, masks)
def test_against_sklearn_and_torchmetrics(mask: Mask, truth: Mask, brain: Mask) -> None:
    brain[:, 0, 0] = True
    mask[:2, 0, 0], truth[:2, 0, 0] = [True, False], [True, True]  # every ratio is defined
    truth[2:, 0, 0] = False
    counts = confusion(mask, truth, brain)
    ours, theirs = mask[brain], truth[brain]
    assert (
        counts.true_negative,
        counts.false_positive,
        counts.false_negative,
        counts.true_positive,
    ) == tuple(metrics.confusion_matrix(theirs, ours, labels=[False, True]).ravel())
    assert dice(counts) == pytest.approx(metrics.f1_score(theirs, ours))
    assert sensitivity(counts) == pytest.approx(metrics.recall_score(theirs, ours))
    assert precision(counts) == pytest.approx(metrics.precision_score(theirs, ours))
    expected = binary_specificity(torch.tensor(ours.astype(int)), torch.tensor(theirs.astype(int)))
    assert specificity(counts) == pytest.approx(float(expected), abs=1e-6)


@settings(deadline=None)
@given(masks, masks, masks)
def test_dice_is_symmetric_and_swapping_exchanges_the_others(
    mask: Mask, truth: Mask, brain: Mask
) -> None:
    there, back = confusion(mask, truth, brain), confusion(truth, mask, brain)
    assert dice(there) == dice(back)
    assert sensitivity(there) == precision(back)


@settings(deadline=None)
@given(masks, masks, masks, st.sampled_from([(0,), (1,), (2,), (0, 1, 2)]))
def test_flips_change_nothing(mask: Mask, truth: Mask, brain: Mask, axes: tuple[int, ...]) -> None:
    flipped = [np.flip(array, axes) for array in (mask, truth, brain)]
    assert confusion(*flipped) == confusion(mask, truth, brain)
    expected = slice_dice(mask, truth, brain)
    np.testing.assert_allclose(slice_dice(*flipped), expected, rtol=1e-12)


@settings(deadline=None)
@given(masks, masks, masks, st.integers(1, 9))
def test_background_changes_nothing(mask: Mask, truth: Mask, brain: Mask, margin: int) -> None:
    wider = [np.pad(array, ((margin, 0), (0, margin), (0, 0))) for array in (mask, truth, brain)]
    assert confusion(*wider) == confusion(mask, truth, brain)


NOTHING, MISSED, ALARM = Confusion(0, 0, 0, 9), Confusion(0, 0, 4, 5), Confusion(0, 4, 0, 5)


@pytest.mark.parametrize("ratio", [dice, sensitivity, precision])
def test_empty_masks(ratio: object) -> None:
    assert callable(ratio)
    assert ratio(NOTHING) == 1.0
    assert math.isnan(ratio(NOTHING, empty=float("nan")))
    for one_empty in (MISSED, ALARM):
        assert ratio(one_empty) == 0.0
        assert ratio(one_empty, empty=float("nan")) == 0.0


def test_specificity_is_of_the_healthy_voxels() -> None:
    assert specificity(Confusion(3, 1, 100, 3)) == 0.75
    assert specificity(MISSED) == 1.0
    assert math.isnan(specificity(Confusion(5, 0, 4, 0)))
    assert specificity(Confusion(5, 0, 4, 0), empty=1.0) == 1.0


def slices(*rows: tuple[int, ...]) -> Mask:
    """One row per axial slice, as an (I, 1, K) array."""
    return np.asarray(rows, dtype=bool).T[:, None, :]


def test_slice_dice_by_hand() -> None:
    truth = slices((1, 1, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0))
    mask = slices((1, 0, 0), (1, 0, 0), (0, 0, 0), (1, 0, 0), (1, 1, 1))
    brain = slices((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0))
    # 2/3 and 1 with lesion; two more slices of brain without; one slice without brain
    assert slice_dice(mask, truth, brain) == pytest.approx((2 / 3 + 1) / 4)
    assert slice_dice(mask, truth, brain, lesion_free="skip") == pytest.approx((2 / 3 + 1) / 2)
    # of the two slices without lesion one is left empty
    expected = pytest.approx((2 / 3 + 1 + 1 + 0) / 4)
    assert slice_dice(mask, truth, brain, lesion_free="empty") == expected
    assert slice_dice(truth, truth, brain, lesion_free="empty") == 1
    perfect = slice_dice(truth, truth, brain)
    assert perfect == 0.5  # the share of slices with lesion: the ceiling of Table 2


def test_slice_dice_without_slices_is_not_defined() -> None:
    empty, full = np.zeros(SHAPE, dtype=bool), np.ones(SHAPE, dtype=bool)
    assert math.isnan(slice_dice(full, full, empty))
    assert math.isnan(slice_dice(full, empty, full, lesion_free="skip"))
    assert slice_dice(full, empty, full) == 0.0


@settings(deadline=None)
@given(masks, masks)
def test_slice_dice_against_dice_of_each_slice(mask: Mask, truth: Mask) -> None:
    truth[0, 0, 0] = True
    brain = np.ones(SHAPE, dtype=bool)
    with_lesion = [k for k in range(SHAPE[2]) if truth[..., k].any()]
    expected = [dice(confusion(mask[..., k], truth[..., k], brain[..., k])) for k in with_lesion]
    assert slice_dice(mask, truth, brain, lesion_free="skip") == pytest.approx(np.mean(expected))
