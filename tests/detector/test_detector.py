"""A detector of one map: its maps, its masks at other thresholds, and how it travels."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest

from anomri.detector import Detector, load
from anomri.errors import UsageError
from anomri.recipe import Overrides, Recipe
from anomri.scan import Scan


def model(method: str = "above", value: float = 2.0) -> Detector:
    recipe = Recipe.parse(
        f"name: plain\nfamily: intensity\ndetection: {{threshold: {{fixed: {{value: {value}}}}},"
        f" decide: {method}}}",
        origin="plain.yaml",
    )
    return Detector.of(recipe, load("intensity", device="cpu").first.networks)


def test_nearby_masks_have_the_threshold_a_fifth_lower_and_higher(ball_scan: Scan) -> None:
    detection = model().detect_scan(ball_scan)
    lower, higher = detection.nearby
    values = detection.anomaly.values[0]
    np.testing.assert_array_equal(lower, (values > 1.6) & ball_scan.brain)
    np.testing.assert_array_equal(higher, (values > 2.4) & ball_scan.brain)
    assert lower.sum() > higher.sum() > 0


def test_a_detection_has_the_margin_of_a_method_that_measures_it(ball_scan: Scan) -> None:
    found = model("half_maximum").detect_scan(ball_scan)
    assert found.margin is not None
    np.testing.assert_array_equal(found.margin > 0, found.mask)
    assert model("above").detect_scan(ball_scan).margin is None


@pytest.mark.parametrize(("method", "value"), [("mixture", 2.0), ("above", 0.0)])
def test_no_nearby_masks_where_the_threshold_means_nothing(
    ball_scan: Scan, method: str, value: float
) -> None:
    detection = model(method, value).detect_scan(ball_scan)
    assert detection.nearby == ()
    assert all(finding.range_ml is None for finding in detection.findings)


def test_a_detector_travels_as_what_it_was_loaded_from() -> None:
    overrides = Overrides(threshold="robust", brain="given")
    detector = load("default", device="cpu", overrides=overrides)
    data = cloudpickle.dumps(detector)
    assert len(data) < 2000  # no weights
    assert cloudpickle.loads(data).fingerprint == detector.fingerprint


def test_a_detector_without_a_source_travels_whole(ball_scan: Scan) -> None:
    there = cloudpickle.loads(cloudpickle.dumps(model()))
    expected = model().detect_scan(ball_scan).mask
    np.testing.assert_array_equal(there.detect_scan(ball_scan).mask, expected)


def test_a_model_that_changed_on_the_way_is_refused() -> None:
    source = load("intensity", device="cpu").source
    assert source is not None
    with pytest.raises(UsageError, match="changed or removed"):
        source("another fingerprint")


def test_unknown_overrides_are_refused_before_a_scan_is_read() -> None:
    for overrides, fault in (
        (Overrides(threshold="best"), "unknown threshold rule"),
        (Overrides(threshold="healthy"), "has not been fitted"),
        (Overrides(decide="guess"), "method .guess."),
        (Overrides(orientation="RAX"), "orientation 'RAX'"),
        (Overrides(mask_grid="voxels"), "voxels"),
    ):
        with pytest.raises(UsageError, match=fault):
            load("intensity", device="cpu", overrides=overrides)
