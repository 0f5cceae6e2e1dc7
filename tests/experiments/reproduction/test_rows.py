"""Every row of every paper: it loads, builds, and is named as the paper's figures name it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from anomri.experiments.reproduction import Protocol
from anomri.models import build_recipe_network
from anomri.postprocessing import MAP_STEPS, MASK_STEPS, RULES, SEGMENTATION_METHODS
from anomri.recipe import Recipe
from anomri.scoring import SCORES, SEGMENTATIONS

RECIPES = Path(__file__).parents[3] / "recipes"
ROWS = sorted(RECIPES.glob("*/rows/*.yaml"))
PAPERS = sorted(RECIPES.glob("*/published.tsv"))

pytestmark = pytest.mark.skipif(not RECIPES.is_dir(), reason="only in a checkout")


def paper_and_row(path: Path) -> str:
    return f"{path.parents[1].name}-{path.stem}"


@pytest.mark.parametrize("path", ROWS, ids=paper_and_row)
def test_a_row_builds_from_its_recipe(path: Path) -> None:
    recipe = Recipe.load(path)
    assert recipe.name == path.stem
    with torch.device("meta"):
        family = build_recipe_network(recipe)
    assert family.name == recipe.family.name


@pytest.mark.parametrize("path", ROWS, ids=paper_and_row)
def test_a_row_names_only_what_there_is(path: Path) -> None:
    detection = Recipe.load(path).detection
    assert detection.score.name in {**SCORES, **SEGMENTATIONS}
    assert {step.name for step in detection.clean} <= set(MAP_STEPS)
    assert {step.name for step in detection.refine} <= set(MASK_STEPS)
    assert detection.threshold.name in RULES
    assert detection.decide.name in SEGMENTATION_METHODS


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.parent.name)
def test_every_published_row_has_a_recipe(path: Path) -> None:
    published = pd.read_csv(path, sep="\t")
    assert list(published) == ["row", "table", "quantity", "value"]
    rows = {recipe.stem for recipe in path.parent.glob("rows/*.yaml")}
    protocol = Protocol.load(path.parent)
    rows |= {*protocol.ensembles, *protocol.pairs}
    assert set(published["row"]) <= rows


def test_paper_a_has_every_network_with_every_loss() -> None:
    rows = {path.stem for path in ROWS if path.parents[1].name == "weninger2019"}
    networks = ("vae", "dvae", "vae1px", "vae_ce", "aae", "biaae")
    assert {f"{name}_{loss}" for name in networks for loss in ("mse", "ssim", "l1")} <= rows


def test_paper_c_has_every_network_with_and_without_context_encoding() -> None:
    rows = {path.stem for path in ROWS if path.parents[1].name == "paolini"}
    networks = ("ae", "vae1", "vae2", "vqvae")
    assert rows == {*networks, *(f"ce_{name}" for name in networks)}
    for name in networks:
        plain, encoded = (
            Recipe.load(RECIPES / "paolini" / "rows" / f"{row}.yaml").family.options
            for row in (name, f"ce_{name}")
        )
        assert encoded == {**plain, "context_weight": 1}


def test_paper_b_has_both_bottlenecks_in_two_and_three_dimensions() -> None:
    rows = {path.stem: path for path in ROWS if path.parents[1].name == "lambert2021"}
    assert set(rows) == {"spatial_2d", "dense_2d", "spatial_3d", "dense_3d"}
    for name, path in rows.items():
        recipe = Recipe.load(path)
        assert recipe.size == (160, 192, 75)[: int(name[-2])]
        assert recipe.family.options["loss"] == "collapse_robust"
        assert recipe.detection.threshold.options["candidates"] == [n / 100 for n in range(1, 16)]
