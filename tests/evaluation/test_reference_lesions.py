from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anomri.evaluation import count_lesions, recall_by_size, reference_lesions
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
