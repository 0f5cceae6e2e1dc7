"""Recipes: what validates, what does not, and what a run folder holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from anomri.errors import RecipeError
from anomri.models import RECONSTRUCTORS, SEGMENTERS
from anomri.postprocessing import (
    COMBINATION_STEPS,
    CONTRAST_STEPS,
    MAP_STEPS,
    MASK_STEPS,
    RULES,
    SEGMENTATION_METHODS,
)
from anomri.preprocessing import INTENSITY_SCALINGS
from anomri.recipe import CombinedRecipe, Recipe, Step, builtin_names, load_recipe
from anomri.scoring import SCORES, SEGMENTATIONS

MINIMAL = "name: one\nfamily: vae\n"


@pytest.mark.parametrize("source", builtin_names())
def test_every_builtin_recipe_names_what_exists(source: str) -> None:
    recipe = load_recipe(source)
    if isinstance(recipe, CombinedRecipe):
        steps = {step.step.name for step in recipe.segmentation}
        assert steps <= {"segment", *COMBINATION_STEPS}
        assert {entry.recipe for entry in recipe.maps.values()} <= set(builtin_names())
        return
    detection = recipe.detection
    assert recipe.family.name in RECONSTRUCTORS | SEGMENTERS
    assert recipe.preparation.intensity.name in INTENSITY_SCALINGS
    assert detection.score.name in {*SCORES, *SEGMENTATIONS}
    assert detection.threshold.name in RULES
    assert detection.decide.name in SEGMENTATION_METHODS
    assert {step.name for step in detection.clean} <= {*MAP_STEPS, *CONTRAST_STEPS}
    assert {step.name for step in detection.refine} <= set(MASK_STEPS)


def test_a_resolved_recipe_reads_back_as_itself() -> None:
    recipe = Recipe.load("intensity")
    assert Recipe.parse(recipe.to_yaml(), origin="again") == recipe


def test_a_bare_name_and_a_mapping_are_steps() -> None:
    recipe = Recipe.parse(
        MINIMAL + "detection: {clean: [standardise, {median: {size_mm: 5}}]}", origin="x"
    )
    assert recipe.detection.clean == (
        Step(name="standardise"),
        Step(name="median", options={"size_mm": 5}),
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name: [", "not valid YAML"),
        ("name: one", "family"),
        (MINIMAL + "trainning: {}", "trainning"),
        (MINIMAL + "training: {batch_size: 0}", "batch_size"),
        (MINIMAL + "training: {lesions: ignore}", "lesions"),
        (MINIMAL + "contrasts: []", "contrasts"),
        ("- a list", "the recipe"),
        ("family: !!python/object/apply:os.system [ls]", "not valid YAML"),
    ],
)
def test_a_wrong_recipe_says_where(text: str, word: str) -> None:
    with pytest.raises(RecipeError, match=word) as caught:
        Recipe.parse(text, origin="mine.yaml")
    assert str(caught.value).startswith("mine.yaml")
    assert str(caught.value).endswith(". Next: correct it in the recipe.")
    assert caught.value.exit_code == 2


def test_a_missing_recipe_names_what_ships() -> None:
    with pytest.raises(RecipeError, match="intensity"):
        Recipe.load("intensitty")


def test_detection_does_not_change_what_is_learnt() -> None:
    recipe = Recipe.parse(MINIMAL, origin="x")
    other = Recipe.parse(MINIMAL + "detection: {threshold: healthy}", origin="x")
    slower = Recipe.parse(MINIMAL + "training: {learning_rate: 0.1}", origin="x")
    volumes = Recipe.parse(MINIMAL + "axes: 3", origin="x")
    assert recipe.learns_like(other)
    assert not recipe.learns_like(slower)
    assert not recipe.learns_like(volumes)


def test_a_crop_is_what_the_network_sees() -> None:
    text = MINIMAL + "axes: 3\npreparation: {shape: [null, 48, 128]}\n"
    whole = Recipe.parse(text, origin="x")
    cropped = Recipe.parse(text + "training: {crop: [160, 192, 64]}", origin="x")
    assert whole.size == ()
    assert cropped.size == (160, 48, 64)  # no longer than the image
    with pytest.raises(RecipeError, match=r"crop: expected 3 numbers of voxels, got \(160, 192\)"):
        Recipe.parse(text + "training: {crop: [160, 192]}", origin="x")


def test_a_combined_recipe_reads_back_as_itself(tmp_path: Path) -> None:
    recipe = load_recipe("default")
    assert isinstance(recipe, CombinedRecipe)
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


def test_entries_that_moved_to_combined_recipes_are_read_over() -> None:
    old = MINIMAL + "detection: {regions: {hull: {dims: 2}}, mass_mm: 7}"
    assert Recipe.parse(old, origin="x") == Recipe.parse(MINIMAL, origin="x")
