"""Two models of different contrasts as one: from run folders to regions, as a user types it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anomri.detector import Detector, load
from anomri.errors import RecipeError, UsageError
from anomri.models import build_recipe_network, save_weights
from anomri.pipeline.threshold_calibration import Calibration
from anomri.postprocessing import ThresholdFits
from anomri.recipe import Overrides, Recipe, builtin_names
from anomri.scan import NAME_REGIONS, REGIONS, AnomalyMap, Scan

SMALL = """
name: {name}
contrasts: [{contrast}]
preparation: {{spacing_mm: [4, 4, null], shape: [64, 64, null]}}
family: {{vae: {{reconstruction: l1}}}}
training: {{slab_mm: null}}
detection:
  clean: [standardise]
  threshold: {{fixed: {{value: {value}}}}}
  shows: {shows}
"""


PAIR = """
name: pair
maps:
  whole: {recipe: b_flair}
  enhancing: {recipe: a_t1ce}
segmentation:
  - segment: {map: whole}
  - name_regions: {map: enhancing, smallest_ml: 0}
"""


def recipe_of(contrast: str, shows: str, value: float = 1.0) -> Recipe:
    text = SMALL.format(name=f"small_{contrast}", contrast=contrast, shows=shows, value=value)
    return Recipe.parse(text, origin="small.yaml")


def save_run(folder: Path, recipe: Recipe) -> None:
    torch.manual_seed(0)
    save_weights(build_recipe_network(recipe), folder / "weights.safetensors")
    (folder / "recipe.yaml").write_text(recipe.to_yaml())


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Run folders of two untrained networks."""
    save_run(tmp_path / "pair" / "a_t1ce", recipe_of("t1ce", "enhancing", 2.0))
    save_run(tmp_path / "pair" / "b_flair", recipe_of("flair", "whole"))
    (tmp_path / "pair" / "recipe.yaml").write_text(PAIR)
    return tmp_path / "pair"


@pytest.fixture
def two_contrasts(ball_scan: Scan) -> Scan:
    """The ball in FLAIR, and a shell inside it in T1CE."""
    index = np.indices(ball_scan.brain.shape)
    distance = np.linalg.norm(index - np.array([30, 26, 22])[:, None, None, None], axis=0)
    noise = np.random.default_rng(1).normal(0, 0.2, distance.shape)
    shell = (distance < 4) & (distance > 2)
    t1ce = np.where(ball_scan.brain, noise + 3 * shell, 0).astype(np.float32)
    truth = np.select([shell, distance <= 2, distance < 5], [4, 1, 2], 0) * ball_scan.brain
    return replace(
        ball_scan,
        image=np.stack([t1ce, ball_scan.image[0]]),
        contrasts=("t1ce", "flair"),
        truth=truth.astype(np.uint8),
    )


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def test_a_folder_of_two_contrasts_is_one_model(pair: Path, two_contrasts: Scan) -> None:
    model = load(pair, device="cpu")
    assert model.contrasts == ("flair", "t1ce")
    detection = model.detect_scan(two_contrasts)
    assert detection.anomaly.shows == ("whole", "enhancing")
    assert detection.anomaly.values.shape == (2, *two_contrasts.brain.shape)
    assert detection.regions is not None
    np.testing.assert_array_equal(detection.regions > 0, detection.mask)
    enhancing = detection.provenance.map_of(NAME_REGIONS)
    assert enhancing is not None
    assert enhancing.recipe == "small_t1ce"
    assert enhancing.threshold is not None
    assert (enhancing.threshold.value, enhancing.threshold.rule) == (2.0, "fixed")


def test_both_thresholds_move_for_the_range_of_a_tumour(pair: Path, two_contrasts: Scan) -> None:
    detection = load(pair, device="cpu").detect_scan(two_contrasts)
    lower, higher = detection.nearby
    assert lower.sum() > detection.mask.sum() > higher.sum() > 0
    assert all(finding.range_ml is not None for finding in detection.findings)


def test_each_map_is_that_of_its_own_model(pair: Path, two_contrasts: Scan) -> None:
    found = load(pair, device="cpu").detect_scan(two_contrasts).anomaly
    for channel, name in enumerate(("b_flair", "a_t1ce")):
        alone = load(pair / name, device="cpu").first.score(two_contrasts)
        np.testing.assert_allclose(found.values[channel], alone.values[0], atol=1e-5)
    np.testing.assert_array_equal(found.highest, found.values[0])


def test_intensity_names_regions_without_training(two_contrasts: Scan) -> None:
    assert "intensity_regions" in builtin_names()
    detection = load("intensity_regions", device="cpu").detect_scan(two_contrasts)
    labels, truth = detection.regions, two_contrasts.truth
    assert labels is not None
    assert truth is not None
    for region, least in (("whole", 0.8), ("core", 0.7), ("enhancing", 0.7)):
        numbers = REGIONS[region]
        assert dice(np.isin(labels, numbers), np.isin(truth, numbers)) > least
    assert detection.anomaly.scan.notes == ()


def test_no_core_and_a_note_without_enhancement(two_contrasts: Scan) -> None:
    flat = two_contrasts.image.copy()
    flat[0] = np.where(
        two_contrasts.brain, np.random.default_rng(2).normal(0, 0.2, flat[0].shape), 0
    )
    scan = replace(two_contrasts, image=flat)
    detection = load("intensity_regions", device="cpu").detect_scan(scan)
    assert detection.regions is not None
    assert set(np.unique(detection.regions)) == {0, 2}
    assert "no credible contrast enhancement" in detection.anomaly.scan.notes[0].text


def test_maps_of_several_preparations_are_refused(pair: Path) -> None:
    coarse = recipe_of("t1ce", "enhancing").with_changes(
        preparation={"spacing_mm": (3.0, 3.0, None)}
    )
    save_run(pair / "a_t1ce", coarse)
    with pytest.raises(UsageError, match="one preparation"):
        load(pair, device="cpu")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("segment: {map: whole}", "name_regions: {map: whole}"), "as the first step"),
        (("{map: enhancing, smallest_ml: 0}", "{map: nothing}"), "no map 'nothing'"),
        (("{map: whole}", "{}"), "option 'map'"),
        (("{recipe: b_flair}", "{recipe: b_flair, optional: true}"), "cannot be optional"),
        (("segment: {map: whole}", "segment: {map: enhancing}"), "must be listed first"),
        (("smallest_ml: 0", "smallest: 0"), "unknown option"),
    ],
)
def test_what_is_wrong_with_a_combined_recipe_is_said(
    pair: Path, two_contrasts: Scan, change: tuple[str, str], fault: str
) -> None:
    (pair / "recipe.yaml").write_text(PAIR.replace(*change))
    with pytest.raises(RecipeError, match=fault):
        load(pair, device="cpu").detect_scan(two_contrasts)


@pytest.mark.parametrize("folder", [".", "inner"])
def test_a_map_that_is_a_model_of_several_is_refused(pair: Path, folder: str) -> None:
    shutil.copytree(pair, pair / "inner")
    text = PAIR.replace("recipe: b_flair", f"recipe: {folder}")
    (pair / "recipe.yaml").write_text(text)
    with pytest.raises(UsageError, match="expected the folder of one map"):
        load(pair, device="cpu")


def test_a_folder_of_version_0_1_is_read_by_what_its_recipes_show(
    pair: Path, two_contrasts: Scan
) -> None:
    expected = load(pair, device="cpu").detect_scan(two_contrasts)
    (pair / "recipe.yaml").unlink()
    text = (pair / "b_flair" / "recipe.yaml").read_text()
    regions = "detection:\n  regions: {hull: {smallest_ml: 0}}\n  mass_mm: 0\n"
    (pair / "b_flair" / "recipe.yaml").write_text(text.replace("detection:\n", regions))
    found = load(pair, device="cpu").detect_scan(two_contrasts)
    assert found.regions is not None
    np.testing.assert_array_equal(found.regions, expected.regions)


def test_a_folder_of_runs_that_nothing_joins_is_refused(tmp_path: Path) -> None:
    save_run(tmp_path / "one", recipe_of("flair", "whole"))
    save_run(tmp_path / "two", recipe_of("t1ce", "whole"))
    with pytest.raises(UsageError, match=r"detection\.shows"):
        load(tmp_path, device="cpu")


def test_a_scan_without_a_contrast_is_refused(pair: Path, ball_scan: Scan) -> None:
    with pytest.raises(UsageError, match="expected the contrasts t1ce, got flair"):
        load(pair, device="cpu").detect_scan(ball_scan)


def test_either_models_weights_change_the_fingerprint(pair: Path) -> None:
    before = load(pair, device="cpu").fingerprint
    assert load(pair, device="cpu").fingerprint == before
    recipe = Recipe.load(pair / "a_t1ce" / "recipe.yaml")
    torch.manual_seed(1)
    save_weights(build_recipe_network(recipe), pair / "a_t1ce" / "weights.safetensors")
    assert load(pair, device="cpu").fingerprint != before


def test_both_models_take_another_decision(pair: Path) -> None:
    model = load(pair, device="cpu", overrides=Overrides(threshold="robust", decide="mixture"))
    for one in model.map_models.values():
        assert one.recipe.detection.threshold.name == "robust"
        assert one.recipe.detection.decide.name == "mixture"
    with pytest.raises(RecipeError, match="blank_slices"):
        load(pair, device="cpu", overrides=Overrides(blank_slices="nonsense"))


# slice scores -----------------------------------------------------------------------------------


def calibrated(run: Path, scan: Scan) -> Detector:
    calibration = Calibration(load(run, device="cpu"))
    assert scan.truth is not None
    healthy = scan.brain.any(axis=(0, 1)) & ~scan.truth.any(axis=(0, 1))
    calibration.add(scan, np.flatnonzero(healthy))
    calibration.save(run)
    return load(run, device="cpu")


def test_calibration_keeps_slice_thresholds_and_codes(pair: Path, two_contrasts: Scan) -> None:
    model = calibrated(pair / "b_flair", two_contrasts)
    assert {"mean_residual", "mahalanobis"} <= set(model.first.thresholds)
    kept = json.loads((pair / "b_flair" / "thresholds.json").read_text())
    assert kept["mahalanobis"]["fitted_on"] == ["ball_01"]
    assert "healthy slices" in kept["mahalanobis"]["rule"]
    assert model.first.fitted.latents is not None
    detection = model.detect_scan(two_contrasts)
    assert detection.latent_distances is not None


def test_a_killed_calibration_leaves_thresholds_with_their_own_codes(
    pair: Path, two_contrasts: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = pair / "b_flair", replace(two_contrasts, image=two_contrasts.image * 2)
    fits = [calibrated(run, scan).first.fitted for scan in (two_contrasts, other)]
    calibrated(run, two_contrasts)
    move = Path.replace
    moved: list[str] = []

    def killed_later(path: Path, target: Path) -> Path:
        if moved and path.parent.name == "pending":
            raise KeyboardInterrupt
        moved.extend([path.name] if path.parent.name == "pending" else [])
        return move(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed_later)
        with pytest.raises(KeyboardInterrupt):
            calibrated(run, other)
    assert moved == ["codes.safetensors"]
    found = load(run, device="cpu").first.fitted
    assert found.thresholds == fits[1].thresholds != fits[0].thresholds
    assert found.latents is not None
    assert fits[1].latents is not None
    np.testing.assert_array_equal(found.latents.mean, fits[1].latents.mean)
    again = calibrated(run, other).first.fitted
    assert again.thresholds == fits[1].thresholds
    assert not (run / "pending").exists()


@pytest.mark.parametrize("score", ["mean_residual", "mahalanobis"])
def test_slices_below_the_threshold_are_emptied(
    pair: Path, two_contrasts: Scan, score: str
) -> None:
    model = calibrated(pair / "b_flair", two_contrasts)
    before = model.detect_scan(two_contrasts)
    blanking = load(pair / "b_flair", device="cpu", overrides=Overrides(blank_slices=score))
    after = blanking.detect_scan(two_contrasts)
    scores = before.slice_scores if score == "mean_residual" else before.latent_distances
    assert scores is not None
    kept = np.nan_to_num(scores, nan=-np.inf) > model.first.thresholds[score].value
    np.testing.assert_array_equal(after.mask, before.mask & kept)
    assert (before.mask & ~kept).any()


def test_an_unfitted_slice_score_says_what_to_do(pair: Path, two_contrasts: Scan) -> None:
    model = load(pair, device="cpu", overrides=Overrides(blank_slices="mean_residual"))
    with pytest.raises(UsageError, match="anomri calibrate"):
        model.detect_scan(two_contrasts)


def test_two_models_are_calibrated_together_in_their_folder(
    pair: Path, two_contrasts: Scan
) -> None:
    """What is marked on the tissue around the drawn ball, as the models are."""
    calibration = Calibration(load(pair, device="cpu"))
    calibration.add(two_contrasts, np.array([], dtype=np.intp))
    calibration.save(pair)
    model = load(pair, device="cpu")
    assert two_contrasts.truth is not None
    outside = model.detect_scan(two_contrasts).mask & (two_contrasts.truth == 0)
    expected = model.first.rule.expected
    assert expected is not None
    assert expected.mean_ml == pytest.approx(outside.sum() * two_contrasts.grid.voxel_ml)
    values = {p: one.thresholds["healthy_decision"].value for p, one in model.map_models.items()}
    assert values["enhancing"] == pytest.approx(2 * values["whole"])  # as the recipes' own


@pytest.mark.parametrize(("shows", "lowest", "highest"), [("whole", 1, 2), ("enhancing", 2, 4)])
def test_labels_of_the_region_that_is_shown_set_the_labelled_threshold(
    two_contrasts: Scan, shows: str, lowest: float, highest: float
) -> None:
    """A map that is 4 in the enhancing shell, 2 in the rest of the ball and 1 elsewhere."""
    truth = two_contrasts.truth
    assert truth is not None
    values = np.select([truth == 4, truth > 0], [4, 2], 1).astype(np.float32)[None]
    scan = replace(two_contrasts, image=values, contrasts=("t1ce",))
    fits = ThresholdFits()
    fits.add(
        AnomalyMap(scan=scan, values=values, reconstruction=values, score="given", shows=(shows,))
    )
    assert lowest <= fits.thresholds()["labelled"].value < highest
