from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label, regionprops

from anomri.evaluation import (
    LesionCounts,
    count_lesions,
    found_by_volume,
    recall_by_size,
    reference_lesions,
)
from anomri.scan import Mask

SHAPE = (7, 6, 5)
sparse = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 0, 1])).map(
    lambda array: array.astype(bool)
)


def boxes(*corners: tuple[int, int]) -> Mask:
    """Boxes along I from one index up to another."""
    mask = np.zeros((30, 3, 3), dtype=bool)
    for start, stop in corners:
        mask[start:stop, 1, 1] = True
    return mask


@settings(deadline=None)
@given(sparse, sparse)
def test_against_skimage(mask: Mask, truth: Mask) -> None:
    true = regionprops(label(truth, connectivity=3))
    predicted = regionprops(label(mask, connectivity=3))
    detected = [region for region in true if mask[tuple(region.coords.T)].any()]
    false = [region for region in predicted if not truth[tuple(region.coords.T)].any()]
    assert count_lesions(mask, truth) == LesionCounts(
        len(true), len(detected), len(predicted), len(false)
    )


def test_corners_connect() -> None:
    truth = np.zeros(SHAPE, dtype=bool)
    truth[1, 1, 1] = truth[2, 2, 2] = True
    assert count_lesions(truth, truth) == LesionCounts(1, 1, 1, 0)


def test_ratios_by_hand() -> None:
    truth = boxes((0, 4), (6, 9), (12, 15))
    mask = boxes((2, 8), (20, 21), (24, 25))  # one touches two lesions, two touch none
    counts = count_lesions(mask, truth)
    assert counts == LesionCounts(true=3, detected=2, predicted=3, false=2)
    assert counts.sensitivity() == pytest.approx(2 / 3)
    assert counts.precision() == pytest.approx(1 / 3)
    assert counts.f1() == pytest.approx(2 * (2 / 9) / 1)


def test_overlap_is_a_share_of_the_lesion() -> None:
    truth, mask = boxes((0, 10)), boxes((8, 12))  # a fifth of the one, half of the other
    assert count_lesions(mask, truth, overlap=0.2) == LesionCounts(1, 1, 1, 0)
    assert count_lesions(mask, truth, overlap=0.3) == LesionCounts(1, 0, 1, 0)
    assert count_lesions(mask, truth, overlap=0.6) == LesionCounts(1, 0, 1, 1)


def test_small_lesions_neither_count_nor_punish() -> None:
    truth, mask = boxes((0, 5), (10, 11)), boxes((10, 14), (20, 21))
    counts = count_lesions(mask, truth, voxel_ml=0.002, smallest_ml=0.004)
    assert counts == LesionCounts(true=1, detected=0, predicted=1, false=0)


NONE, MISSED, ALARM = LesionCounts(0, 0, 0, 0), LesionCounts(2, 0, 0, 0), LesionCounts(0, 0, 3, 3)


def test_empty_masks() -> None:
    empty = np.zeros(SHAPE, dtype=bool)
    assert count_lesions(empty, empty) == NONE
    for counts in (MISSED, ALARM):
        assert (counts.sensitivity(), counts.precision(), counts.f1()) == (0.0, 0.0, 0.0)
    assert (NONE.sensitivity(), NONE.precision(), NONE.f1()) == (1.0, 1.0, 1.0)
    assert math.isnan(NONE.f1(empty=float("nan")))


@settings(deadline=None)
@given(sparse, sparse, st.sampled_from([0, 1, 2]))
def test_flips_change_nothing(mask: Mask, truth: Mask, axis: int) -> None:
    flipped = count_lesions(np.flip(mask, axis), np.flip(truth, axis))
    assert flipped == count_lesions(mask, truth)


def test_lesions_fall_into_classes_of_volume() -> None:
    truth = boxes((0, 1), (3, 5), (8, 18), (20, 30))
    mask = boxes((4, 6), (17, 22))
    # 1, 2, 10 and 10 voxels of 0.5 ml; all but the first are touched; 1 ml is not under 1 ml.
    counts = found_by_volume(mask, truth, voxel_ml=0.5, edges_ml=[1, 5])
    assert counts == [(1, 0), (1, 1), (2, 2)]
    assert found_by_volume(mask, truth & False, voxel_ml=0.5, edges_ml=[1, 5]) == [(0, 0)] * 3


@settings(deadline=None)
@given(sparse, sparse)
def test_classes_hold_every_lesion_once(mask: Mask, truth: Mask) -> None:
    counts = found_by_volume(mask, truth, voxel_ml=1.0, edges_ml=[2, 4])
    whole = count_lesions(mask, truth)
    assert sum(true for true, _ in counts) == whole.true
    assert sum(found for _, found in counts) == whole.detected


def test_a_row_per_lesion_by_hand() -> None:
    rows = reference_lesions(boxes((4, 6), (12, 22)), boxes((0, 1), (3, 5), (8, 18)), voxel_ml=0.5)
    assert [list(row.values()) for row in rows] == [
        [1, 5.0, "true", 0.6],
        [2, 1.0, "true", 0.5],
        [3, 0.5, "false", 0.0],
    ]


@settings(deadline=None, max_examples=40)
@given(sparse, sparse)
def test_rows_agree_with_the_counts(mask: Mask, truth: Mask) -> None:
    rows = reference_lesions(mask, truth, voxel_ml=1.0)
    counts = count_lesions(mask, truth)
    assert len(rows) == counts.true
    assert sum(row["found"] == "true" for row in rows) == counts.detected
    assert sum(row["truth_volume_ml"] for row in rows) == truth.sum()
    marked = sum(row["overlap"] * row["truth_volume_ml"] for row in rows)
    assert marked == pytest.approx((mask & truth).sum())


def lesion(subject: str, volume: float, *, found: bool) -> dict[str, object]:
    return {"subject": subject, "truth_volume_ml": volume, "found": str(found).lower()}


def test_recall_by_size_by_hand() -> None:
    rows = [
        lesion("a", 0.05, found=False),
        lesion("a", 0.1, found=True),  # on a limit: in the class above
        lesion("a", 0.5, found=True),
        lesion("b", 0.9, found=False),
        lesion("b", 30.0, found=True),
    ]
    small, medium, large, largest = recall_by_size(rows)
    assert [small["size_class"], largest["size_class"]] == ["under 0.1 ml", "10 ml and more"]
    assert (small["true_lesion_count"], small["lesion_sensitivity"], small["n"]) == (1, 0.0, 1)
    assert math.isnan(small["lower"])  # of a single subject
    assert (medium["detected_lesion_count"], medium["true_lesion_count"]) == (2, 3)
    assert medium["lesion_sensitivity"] == pytest.approx(2 / 3)
    assert (medium["lower"], medium["upper"]) == (0.0, 1.0)  # subject b only, subject a only
    assert (large["true_lesion_count"], large["n"]) == (0, 0)
    assert math.isnan(large["lesion_sensitivity"])


def test_subjects_are_resampled_not_lesions() -> None:
    """Hundreds of lesions in two subjects do not make an interval narrow."""
    rows = [lesion("a", 0.5, found=True)] * 300 + [lesion("b", 0.5, found=False)] * 300
    row = recall_by_size(rows)[1]
    assert (row["lower"], row["upper"]) == (0.0, 1.0)


def test_nothing_to_find_is_no_error() -> None:
    assert [row["n"] for row in recall_by_size([])] == [0, 0, 0, 0]
    assert reference_lesions(boxes((0, 3)), boxes(), voxel_ml=1.0) == []
