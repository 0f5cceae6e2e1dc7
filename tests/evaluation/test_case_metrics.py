from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, recall_score

from anomri.evaluation import case_metrics, summarise
from anomri.scan import Scan

EVERY = {
    "dice",
    "slice_dice_all",
    "slice_dice_lesion",
    "slice_dice_empty",
    "sensitivity",
    "specificity",
    "precision",
    "auprc",
    "auroc",
    "oracle_dice",
    "oracle_threshold",
    "hd95_mm",
    "surface_distance_mm",
    "lesion_sensitivity",
    "lesion_precision",
    "lesion_f1",
    "true_lesion_count",
    "detected_lesion_count",
    "predicted_lesion_count",
    "false_lesion_count",
    "volume_ml",
    "false_positive_ml",
    "truth_volume_ml",
    "volume_error_ml",
}
OF_ALL = {
    "specificity",
    "predicted_lesion_count",
    "false_lesion_count",
    "volume_ml",
    "false_positive_ml",
}


@pytest.fixture
def case(ball_scan: Scan) -> dict[str, Any]:
    values = ball_scan.image[0]
    return {
        "mask": values > 1.5,
        "values": values,
        "truth": ball_scan.truth,
        "brain": ball_scan.brain,
        "spacing": ball_scan.grid.spacing,
        "voxel_ml": ball_scan.grid.voxel_ml,
    }


def with_changes(case: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**case, **changes}


def test_a_good_result(case: dict[str, Any]) -> None:
    row = case_metrics(**case)
    assert set(row) == EVERY
    assert row["dice"] == row["auroc"] == row["specificity"] == row["lesion_f1"] == 1.0
    assert row["hd95_mm"] == row["false_positive_ml"] == row["volume_error_ml"] == 0.0
    assert row["volume_ml"] == pytest.approx(case["mask"].sum() * 0.008)
    assert all(type(value) in (int, float) for value in row.values())


def test_against_references_on_the_uncropped_arrays(case: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    values = (case["values"] + rng.normal(0, 2, case["brain"].shape)) * case["brain"]
    row = case_metrics(**with_changes(case, values=values, mask=values > 2))
    inside = case["brain"]
    truth, marked = case["truth"][inside] > 0, values[inside] > 2
    assert row["dice"] == pytest.approx(f1_score(truth, marked))
    assert row["sensitivity"] == pytest.approx(recall_score(truth, marked))
    assert row["specificity"] == pytest.approx(recall_score(~truth, ~marked))
    assert row["auprc"] == pytest.approx(average_precision_score(truth, values[inside]))
    assert row["oracle_dice"] >= row["dice"]
    assert row["false_positive_ml"] == pytest.approx((marked & ~truth).sum() * 0.008)


def test_background_does_not_count(case: dict[str, Any]) -> None:
    values = case["values"] + np.random.default_rng(1).normal(0, 2, case["brain"].shape)
    mask = (values > 2) & case["brain"]
    case = with_changes(case, values=values, mask=mask)
    wider = {
        name: np.pad(case[name], 7, constant_values=99 if name == "values" else 0)
        for name in ("mask", "values", "truth", "brain")
    }
    assert case_metrics(**with_changes(case, **wider)) == case_metrics(**case)


def test_missed_lesion_costs(case: dict[str, Any]) -> None:
    row = case_metrics(**with_changes(case, mask=np.zeros_like(case["mask"])))
    for name in ("dice", "sensitivity", "precision", "lesion_sensitivity", "lesion_f1"):
        assert row[name] == 0.0
    diagonal = 2 * math.sqrt(48**2 + 52**2 + 44**2)  # of the whole array, not of the brain
    assert row["hd95_mm"] == row["surface_distance_mm"] == pytest.approx(diagonal)
    assert row["volume_error_ml"] == -row["truth_volume_ml"]
    assert not any(math.isnan(value) for value in row.values())


@pytest.mark.parametrize("truth", [None, np.zeros((48, 52, 44), dtype=np.uint8)])
def test_healthy_scan_has_only_false_alarms(case: dict[str, Any], truth: Any) -> None:
    row = case_metrics(**with_changes(case, truth=truth))
    assert set(row) == OF_ALL
    assert row["volume_ml"] == row["false_positive_ml"] > 0
    assert row["false_lesion_count"] == row["predicted_lesion_count"] == 1
    brain, marked = case["brain"].sum(), case["mask"].sum()
    assert row["specificity"] == pytest.approx(1 - marked / brain)


def test_lesion_that_the_brain_mask_lost_is_missed(case: dict[str, Any]) -> None:
    lost = case["brain"] & (np.arange(48) < 30)[:, None, None]  # the lesion's middle is at 30
    # healthy brain is far below 0, the value outside the brain: that must not raise what was lost
    mask, values = case["mask"] & lost, np.where(lost, case["values"] - 2, 0)
    row = case_metrics(**with_changes(case, brain=lost, mask=mask, values=values))
    truth = case["truth"] > 0
    assert row["dice"] == pytest.approx(2 * mask.sum() / (mask.sum() + truth.sum()))
    assert row["oracle_dice"] == pytest.approx(row["dice"])
    assert row["auroc"] < 1.0


def test_without_any_brain_nothing_was_ranked(case: dict[str, Any]) -> None:
    nothing = np.zeros_like(case["mask"])
    row = case_metrics(**with_changes(case, brain=nothing, mask=nothing))
    assert row["dice"] == row["oracle_dice"] == 0.0
    assert math.isnan(row["auprc"])
    assert math.isnan(row["auroc"])


def test_error_of_the_reconstruction(case: dict[str, Any], ball_scan: Scan) -> None:
    shown = with_changes(case, image=ball_scan.image, reconstruction=ball_scan.image + 0.25)
    row = case_metrics(**shown)
    assert set(row) == EVERY | {"mae_intensity"}
    assert row["mae_intensity"] == pytest.approx(0.25, rel=1e-5)


def test_scaling_the_map_changes_only_its_threshold(case: dict[str, Any]) -> None:
    plain = case_metrics(**case)
    scaled = case_metrics(**with_changes(case, values=case["values"] * 4))
    assert scaled.pop("oracle_threshold") == pytest.approx(4 * plain.pop("oracle_threshold"))
    assert scaled == plain


def test_nothing_is_changed_and_integers_are_taken(case: dict[str, Any]) -> None:
    before = {name: np.copy(case[name]) for name in ("mask", "values", "truth", "brain")}
    as_stored = with_changes(case, mask=case["mask"].astype(np.uint8))
    assert case_metrics(**as_stored) == case_metrics(**case)
    for name, array in before.items():
        np.testing.assert_array_equal(case[name], array)


def test_empty_brain(case: dict[str, Any]) -> None:
    nothing = np.zeros_like(case["mask"])
    row = case_metrics(**with_changes(case, mask=nothing, brain=nothing, truth=None))
    assert row["volume_ml"] == 0.0
    assert math.isnan(row["specificity"])


def test_other_grids_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"on one grid.*truth \(47, 52, 44\)"):
        case_metrics(**with_changes(case, truth=case["truth"][1:]))


def test_rows_of_both_kinds_make_one_table(case: dict[str, Any]) -> None:
    rows = [case_metrics(**case), case_metrics(**with_changes(case, truth=None))]
    summary = {row["metric"]: row for row in summarise(rows)}
    assert (summary["dice"]["n"], summary["dice"]["absent"]) == (1, 1)
    assert (summary["volume_ml"]["n"], summary["volume_ml"]["absent"]) == (2, 0)
