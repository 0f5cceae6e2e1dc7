"""Models that work together: calibrated as one, and kept in one folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from anomri.detector import Detector, MapModel, load
from anomri.errors import UsageError
from anomri.pipeline import calibrate
from anomri.pipeline.model_copies import copy_model
from anomri.pipeline.threshold_calibration import Calibration
from anomri.postprocessing.false_positive_calibration import SCALES
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Overrides, Recipe, Step
from anomri.scan import FalsePositiveVolume, Scan

NAMES = {"brightness", "enhancement", "contrasts", "probability", "network"}
NOBODY = np.array([], dtype=np.intp)
SPOTS = (2.5, 4.0, 6.5)  # radii in voxels of 2 mm


def cut_at(model: MapModel, value: float) -> MapModel:
    threshold = Step(name="fixed", options={"value": value})
    return model.with_recipe(model.recipe.with_changes(threshold=threshold))


@pytest.fixture(scope="module")
def model() -> Detector:
    """The default; plain cuts stand in for its networks, so that it is quick."""
    default = load("default", device="cpu")
    recipe = default.first.recipe.with_changes(decide=Step(name="above"))
    plain = cut_at(default.first.with_recipe(recipe), 3.0)
    maps = {**default.map_models, "probability": cut_at(plain, 0.5), "network": plain}
    return Detector(maps, default.steps, name="default")


def brain(ball_scan: Scan, radius: float, *, t1ce: bool = False) -> Scan:
    """Smooth noise with one bright spot; in T1CE with a rim around its dark middle."""
    noise = np.random.default_rng(int(10 * radius)).normal(size=ball_scan.brain.shape)
    smooth = 1 + ndimage.gaussian_filter(noise, 1.5)
    away = np.linalg.norm(
        np.indices(smooth.shape) - np.array([24, 26, 22])[:, None, None, None], axis=0
    )
    images = [smooth + 0.6 * (away < radius) * (away >= radius / 2)]
    images += [smooth + 0.6 * (away < radius * 0.7) * (away >= radius / 2)] if t1ce else []
    image = np.stack([np.where(ball_scan.brain, one, 0) for one in images]).astype(np.float32)
    name = f"spot {radius}"
    contrasts = ("flair", "t1ce")[: len(images)]
    return replace(
        ball_scan, subject=name, label=name, image=image, truth=None, healthy=True,
        contrasts=contrasts,
    )  # fmt: skip


@pytest.fixture
def scans(ball_scan: Scan) -> list[Scan]:
    return [brain(ball_scan, radius) for radius in SPOTS]


def moved(model: Detector, factor: float) -> Detector:
    """The same model with every threshold times a factor, made by hand."""
    values = {"brightness": 4.0, "enhancement": 1.5, "contrasts": 0.8}
    values |= {"probability": 0.5, "network": 3.0}
    maps = {name: cut_at(model.map_models[name], v * factor) for name, v in values.items()}
    optional = maps["enhancement"]
    optional.optional = True
    return Detector(maps, model.steps)


@pytest.mark.parametrize("t1ce", [False, True])
@pytest.mark.parametrize("radius", SPOTS)
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
def test_a_scale_marks_what_moved_thresholds_would(
    model: Detector, ball_scan: Scan, radius: float, factor: float, t1ce: bool
) -> None:
    scan = brain(ball_scan, radius, t1ce=t1ce)
    expected = moved(model, factor).detect_scan(scan)
    found = model.segment(model.maps(scan), scale=factor)
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert expected.mask.any() or factor > 1


def calibrated(model: Detector, scans: list[Scan], allowed: float) -> Calibration:
    made = Calibration(model, false_positive_ml=allowed)
    for scan in scans:
        made.add(scan, NOBODY)
    return made


def test_one_factor_keeps_all_of_them_to_the_volume(model: Detector, scans: list[Scan]) -> None:
    def mean_ml(factor: float) -> float:
        return float(np.mean([moved(model, factor).detect_scan(one).scan_score for one in scans]))

    allowed = 0.5 * mean_ml(1.0)
    found = calibrated(model, scans, allowed).thresholds()["healthy_decision"]
    factor = found.value / 4
    assert found.false_positive_ml == pytest.approx(mean_ml(factor))
    assert mean_ml(factor) <= allowed < mean_ml(factor * SCALES[0] / SCALES[1])
    assert found.false_positives is not None
    assert found.false_positives.scans == len(scans)


def test_what_they_mark_as_they_are_is_measured(model: Detector, scans: list[Scan]) -> None:
    own = calibrated(model, scans, 1.0).thresholds()["fixed"]
    volumes = [model.detect_scan(scan).scan_score for scan in scans]
    assert own.value == 4
    assert own.false_positives == FalsePositiveVolume.of(volumes)


def test_lesions_nobody_drew_teach_nothing(model: Detector, scans: list[Scan]) -> None:
    sick = [replace(scan, healthy=False) for scan in scans]
    assert calibrated(model, sick, 1.0).thresholds() == {}


def test_the_folder_of_a_calibrated_default_is_the_default(
    tmp_path: Path, scans: list[Scan]
) -> None:
    copy_model("default", tmp_path)
    default = load("default", device="cpu")
    calibrated(default, scans[:1], 0.1).save(tmp_path)
    kept = load(tmp_path, device="cpu")
    models = default.map_models
    assert {name: one.recipe for name, one in kept.map_models.items()} == {
        name: one.recipe for name, one in models.items()
    }
    assert kept.steps == default.steps
    assert kept.map_models["network"].weights_hash == models["network"].weights_hash != ""
    detection = kept.detect_scan(scans[0])
    np.testing.assert_array_equal(detection.mask, default.detect_scan(scans[0]).mask)
    assert detection.threshold.false_positives is not None
    overrides = Overrides(threshold="healthy_decision")
    chosen = load(tmp_path, device="cpu", overrides=overrides)
    values = {
        name: one.thresholds["healthy_decision"].value for name, one in chosen.map_models.items()
    }
    factor = values["brightness"] / 4
    assert values == pytest.approx(
        {
            "brightness": 4 * factor,
            "enhancement": 1.5 * factor,
            "contrasts": 0.8 * factor,
            "probability": 0.5 * factor,
            "network": 3 * factor,
        }
    )
    assert chosen.detect_scan(scans[0]).scan_score <= 0.1
    assert "network" in chosen.map_models  # the rule was fitted with it
    robust = load(tmp_path, device="cpu", overrides=Overrides(threshold="robust"))
    assert "network" not in robust.map_models


def test_a_calibrated_network_takes_its_weights_along(tmp_path: Path, scans: list[Scan]) -> None:
    copy_model("lesions_bright", tmp_path)
    one = load("lesions_bright", device="cpu")
    calibration = Calibration(one)
    calibration.add(scans[0], NOBODY)
    calibration.measure(scans[0])
    calibration.save(tmp_path)
    kept = load(tmp_path, device="cpu")
    assert kept.weights_hash == one.weights_hash
    assert kept.first.rule.expected is not None


def test_what_one_model_marked_says_nothing_of_several(tmp_path: Path, scans: list[Scan]) -> None:
    copy_model("intensity_regions", tmp_path)
    alone = Calibration(load(tmp_path / "brightness", device="cpu"))
    alone.add(scans[0], NOBODY)
    alone.measure(scans[0])
    alone.save(tmp_path / "brightness")
    assert load(tmp_path / "brightness", device="cpu").first.rule.expected is not None
    assert load(tmp_path, device="cpu").first.rule.expected is None


def test_another_models_folder_is_left_alone(tmp_path: Path) -> None:
    copy_model("intensity", tmp_path)
    copy_model("intensity", tmp_path)  # the same: nothing to do
    with pytest.raises(UsageError, match="another folder"):
        copy_model("default", tmp_path)


def test_t1_and_t2_are_used_and_not_shown(model: Detector, ball_scan: Scan) -> None:
    default = load("default", device="cpu")
    assert default.contrasts == ("flair", "t1ce", "t1", "t2")
    assert default.optional == {"t1ce", "t1", "t2"}
    assert load("intensity_regions", device="cpu").optional == frozenset()
    scan = brain(ball_scan, SPOTS[2], t1ce=True)
    more = replace(scan, image=scan.image[[0, 1, 1]], contrasts=("flair", "t1ce", "t1"))
    detection = model.detect_scan(more)
    assert detection.anomaly.scan.contrasts == ("flair", "t1ce")
    assert detection.mask.any()


def test_scans_of_another_preparation_calibrate_nothing(tmp_path: Path) -> None:
    other = Recipe.load("demo").preparation
    PreparedFolder(tmp_path / "prepared", other, ("flair",))
    with pytest.raises(UsageError, match="prepared differently"):
        calibrate("intensity", tmp_path / "prepared", tmp_path / "run")
    PreparedFolder(tmp_path / "t1", Recipe.load("intensity").preparation, ("t1",))
    with pytest.raises(UsageError, match="has no 'flair'"):
        calibrate("default", tmp_path / "t1", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_in_which_nothing_could_be_fitted_is_still_the_model(
    tmp_path: Path, scans: list[Scan]
) -> None:
    copy_model("default", tmp_path)
    assert set(load(tmp_path, device="cpu").map_models) == NAMES
    calibrated(load(tmp_path), [replace(scans[0], healthy=False)], 1.0).save(tmp_path)
    again = load(tmp_path, device="cpu")
    assert set(again.map_models) == NAMES
    assert again.first.rule.expected is None
    copy_model("default", tmp_path)


def test_a_calibrated_model_can_be_copied_with_what_was_fitted(
    tmp_path: Path, scans: list[Scan]
) -> None:
    copy_model("default", tmp_path / "one")
    calibrated(load(tmp_path / "one", device="cpu"), scans[:1], 0.1).save(tmp_path / "one")
    copy_model(tmp_path / "one", tmp_path / "two")
    one, two = (load(tmp_path / name, device="cpu") for name in ("one", "two"))
    assert two.fingerprint == one.fingerprint
    assert two.first.rule.expected == one.first.rule.expected is not None
