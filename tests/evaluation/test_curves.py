from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score, roc_curve

from anomri.evaluation import curve_points


def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.random((12, 13, 14)) < 0.1
    values = (rng.normal(0, 1, truth.shape) + 1.5 * truth).astype(np.float32)
    return values, truth, np.ones_like(truth)


def test_each_point_is_that_of_its_threshold() -> None:
    values, truth, brain = case()
    false_rates, true_rates, _ = roc_curve(truth.ravel(), values.ravel(), drop_intermediate=False)
    for row in curve_points(values, truth, brain, steps=7):
        marked = (values >= np.float32(row["threshold"])).ravel()
        assert row["precision"] == pytest.approx(precision_score(truth.ravel(), marked))
        assert row["sensitivity"] == pytest.approx(recall_score(truth.ravel(), marked))
        on_curve = np.isclose(true_rates, row["sensitivity"])
        assert np.isclose(false_rates[on_curve], row["false_positive_rate"]).any()


def test_steps_are_equal_in_sensitivity_and_end_with_everything() -> None:
    values, truth, brain = case()
    found = [row["sensitivity"] for row in curve_points(values, truth, brain, steps=20)]
    np.testing.assert_allclose(found, np.arange(1, 21) / 20, atol=1 / truth.sum())
    assert found[-1] == 1


def test_a_step_takes_no_voxel_more_than_its_share() -> None:
    values = np.arange(
        120, dtype=np.float32
    )  # 100 voxels of lesion, of which each step takes two and a half
    truth = values >= 20
    found = [row["sensitivity"] for row in curve_points(values, truth, np.ones_like(truth))]
    np.testing.assert_allclose(found, [np.ceil(2.5 * n - 1e-9) / 100 for n in range(1, 41)])


def test_nothing_outside_the_brain_counts() -> None:
    values, truth, brain = case()
    brain[:3] = truth[:3] = False
    before = curve_points(values, truth, brain)
    values[:3] += 100
    assert curve_points(values, truth, brain) == before


def test_lesion_outside_the_brain_is_ranked_lowest() -> None:
    values, truth, brain = case()
    brain[:3] = False
    truth[0, 0, 0] = True
    values[:3] = 100
    points = curve_points(values, truth, brain)
    assert points[-1]["threshold"] == values[brain].min()
    assert points[-1]["false_positive_rate"] == 1


def test_a_case_without_lesion_has_no_curve() -> None:
    values, truth, brain = case()
    assert curve_points(values, np.zeros_like(truth), brain) == []
    assert curve_points(values, np.ones_like(truth), brain) == []
