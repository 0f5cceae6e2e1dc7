"""What a model is expected to mark on healthy scans, measured by its own decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from anomri.detector import MapModel, load
from anomri.pipeline.model_copies import copy_model
from anomri.pipeline.threshold_calibration import Calibration
from anomri.postprocessing import segment
from anomri.postprocessing.false_positive_calibration import SCALES
from anomri.recipe import Overrides
from anomri.scan import FalsePositiveVolume, Scan, Threshold
from anomri.scoring import Fitted

RUNG = SCALES[1] / SCALES[0]
NOBODY = np.array([], dtype=np.intp)


def healthy(ball_scan: Scan, seed: int) -> Scan:
    """A healthy brain of smooth noise, with a bright patch whose size follows the seed."""
    noise = np.random.default_rng(seed).normal(size=ball_scan.brain.shape)
    image = 1 + 0.1 * ndimage.gaussian_filter(noise, 1.5) / 0.1
    index = np.indices(image.shape) - np.array([24, 26, 22])[:, None, None, None]
    image = image + (4 + seed) * (np.linalg.norm(index, axis=0) < 2 + seed)
    name = f"healthy {seed}"
    values = np.where(ball_scan.brain, image, 0).astype(np.float32)[None]
    return replace(ball_scan, subject=name, label=name, image=values, truth=None, healthy=True)


@pytest.fixture
def scans(ball_scan: Scan) -> list[Scan]:
    return [healthy(ball_scan, seed) for seed in range(4)]


def calibrated(scans: list[Scan], false_positive_ml: float = 0.5) -> Calibration:
    calibration = Calibration(load("intensity"), false_positive_ml=false_positive_ml)
    for scan in scans:
        calibration.add(scan, NOBODY)
    for scan in scans:
        calibration.measure(scan)
    return calibration


def test_each_scan_is_marked_with_a_threshold_of_the_others(scans: list[Scan]) -> None:
    model = load("intensity")
    volumes = []
    for left_out in scans:
        fits = Calibration(model, false_positive_ml=0.5)
        for scan in scans:
            if scan is not left_out:
                fits.add(scan, NOBODY)
        threshold = fits.thresholds()["healthy"]
        mask = segment(model.first.score(left_out), threshold, model.recipe.detection).lesion
        volumes.append(float(mask.sum() * left_out.grid.voxel_ml))
    marked = calibrated(scans).thresholds()["healthy"].false_positives
    assert marked == FalsePositiveVolume.of(volumes)
    assert marked.mean_ml > 0.5  # growing marks more than lies above the threshold


def test_the_models_own_threshold_is_measured_too(scans: list[Scan]) -> None:
    own = calibrated(scans).thresholds()["fixed"]
    model = load("intensity")
    volumes = [model.detect_scan(scan).scan_score for scan in scans]
    assert own.value == 4
    assert own.false_positives == FalsePositiveVolume.of(volumes)


def test_lesions_are_no_false_positives(ball_scan: Scan) -> None:
    two = [replace(ball_scan, subject=name) for name in "ab"]
    marked = calibrated(two).thresholds()["fixed"].false_positives
    assert marked is not None
    assert marked.upper_ml < 1 < load("intensity").detect_scan(ball_scan).scan_score
    calibration = calibrated([replace(one, truth=None, healthy=False) for one in two])
    assert calibration.thresholds() == {}


def test_what_was_measured_is_told_by_the_detection(scans: list[Scan], tmp_path: Path) -> None:
    copy_model("intensity", tmp_path / "run")
    calibration = calibrated(scans)
    calibration.save(tmp_path / "run")
    model = load(tmp_path / "run")
    calibration.save(tmp_path / "run")
    # A second calibration is no other model, whose results would be computed again.
    assert load(tmp_path / "run").fingerprint == model.fingerprint
    for detector, rule in (
        (model, "fixed"),
        (load(tmp_path / "run", overrides=Overrides(threshold="healthy")), "healthy"),
    ):
        threshold = detector.detect_scan(scans[0]).threshold
        assert threshold.rule == rule
        assert threshold.false_positives is not None
        assert threshold.false_positives.scans == 4
        assert detector.first.rule.expected == threshold.false_positives
    other = load(tmp_path / "run", overrides=Overrides(decide="above"))
    assert other.first.rule.expected is None


def test_no_threshold_of_an_earlier_volume_stays(scans: list[Scan], tmp_path: Path) -> None:
    copy_model("intensity", tmp_path)
    assert "healthy_decision" in calibrated(scans).save(tmp_path)
    # All of the brain is allowed: there is nothing that the decision has to keep to.
    assert "healthy_decision" not in calibrated(scans, 1e6).save(tmp_path)
    assert "healthy_decision" not in load(tmp_path).first.thresholds


def test_another_fixed_value_was_not_measured() -> None:
    volume = FalsePositiveVolume(mean_ml=1.0, median_ml=1.0, upper_ml=1.0, scans=3)
    other = Fitted({"fixed": Threshold(value=3.0, rule="fixed", false_positives=volume)})
    plain = load("intensity")
    model = MapModel(plain.recipe, plain.first.networks, fitted=other)
    assert model.rule.expected is None


def test_the_whole_decision_keeps_to_the_volume_allowed(scans: list[Scan]) -> None:
    found = calibrated(scans, 1.0).thresholds()
    threshold, model = found["healthy_decision"], load("intensity")
    maps = [model.first.score(scan) for scan in scans]

    def mean_ml(value: float) -> float:
        cut = replace(threshold, value=value)
        masks = [segment(one, cut, model.recipe.detection).lesion for one in maps]
        return float(np.mean([mask.sum() for mask in masks]) * scans[0].grid.voxel_ml)

    assert threshold.false_positive_ml == pytest.approx(mean_ml(threshold.value))
    assert mean_ml(threshold.value) <= 1.0
    assert mean_ml(threshold.value / RUNG) > 1.0  # the rung below marks too much
    assert threshold.false_positives is not None
    assert threshold.false_positives.scans == 4
