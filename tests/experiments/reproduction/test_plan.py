"""A paper's rows on small phantoms: from recipes and a protocol to a measured table."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from anomri.cli import app
from anomri.datasets import find
from anomri.errors import RecipeError, UsageError
from anomri.experiments.reproduction import (
    Data,
    Plan,
    Protocol,
    Row,
    Work,
    keep_curves,
    reproduce,
    setting_of,
    train_row,
    trial,
)
from anomri.files import THRESHOLDS, read_thresholds, read_tsv, write_tsv
from anomri.models import build_recipe_network
from anomri.recipe import Recipe
from anomri.synthesis import make_phantoms

ROW = """
name: tiny
preparation: {spacing_mm: [4, 4, null], shape: [64, 64, null]}
family: {vae: {reconstruction: mse}}
training: {batch_size: 8, max_epochs: 9, validation_fraction: 0.4}
detection: {clean: [{erode_brain: {mm: 4}}], decide: mixture}
"""
PROTOCOL = """
paper: A tiny paper
train: [{folder: cohort, split: train}]
test: [{name: phantoms, sources: [{folder: cohort, split: test}]}]
settings: [recipe, slices, labelled, halves]
pairs: {regions: [intensity, intensity_t1ce]}
sizes:
  full: {about: nine epochs}
  brief: {about: one epoch, change: {training: {max_epochs: 1}}}
tables:
  - title: Dice
    columns: [{title: Dice, metric: dice, quantity: D, data: phantoms}]
differences: [phantoms in place of patients]
"""
SETTINGS = ["recipe", "slices", "labelled", "halves", "halves swapped", "halves both"]


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paper with one row, a cohort with a split, and the table made from them."""
    root = tmp_path_factory.mktemp("paper")
    (root / "rows").mkdir()
    (root / "rows" / "tiny.yaml").write_text(ROW)
    (root / "protocol.yaml").write_text(PROTOCOL)
    cohort = make_phantoms(root / "cohort", healthy=1, gliomas=4, lesions=0, spacing_mm=6.0)
    names = [files.subject for files in find(cohort).scans]
    parts = ["train"] * 3 + ["test"] * 2
    lines = [f"{name}\t{part}" for name, part in zip(names, parts, strict=True)]
    (root / "splits.tsv").write_text("\n".join(["subject\tsplit", *lines]) + "\n")
    (root / "published.tsv").write_text("row\ttable\tquantity\tvalue\ntiny\t1\tD\t0.5\n")
    command = ["reproduce", root, "--data", root, "--size", "brief", "-o", root / "work"]
    result = CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return root


def _plan(paper: Path) -> Plan:
    data = Data(paper, paper / "splits.tsv")
    return Plan(Protocol.load(paper), data, Work(paper / "work" / "brief", device="cpu"), "brief")


def test_each_row_is_measured_under_each_setting(paper: Path) -> None:
    table = read_tsv(paper / "measured.tsv")
    dice = [line for line in table if line["metric"] == "dice"]
    assert {(line["row"], line["size"]) for line in dice} == {
        ("intensity", "full"),
        ("tiny", "brief"),
        ("regions", "full"),
    }
    for row in ("intensity", "tiny"):
        names = [setting_of(line["threshold"]) for line in dice if line["row"] == row]
        assert names == SETTINGS
    assert all(0 <= float(line["mean"]) <= 1 for line in dice)


def test_a_trained_row_names_its_weights_and_keeps_its_curve(paper: Path) -> None:
    hashes = {line["row"]: line["weights_sha256"] for line in read_tsv(paper / "measured.tsv")}
    assert len(hashes["tiny"]) == 16
    assert hashes["intensity"] == "n/a"
    curve = read_tsv(paper / "curves" / "brief" / "tiny.tsv")
    assert [line["epoch"] for line in curve] == ["0"]


def test_each_half_is_judged_by_the_other(paper: Path) -> None:
    lines = [line for line in read_tsv(paper / "measured.tsv") if line["row"] == "tiny"]
    dice = {
        setting_of(line["threshold"]): line
        for line in lines
        if line["metric"] == "dice" and "halves" in line["threshold"]
    }
    assert [dice[name]["n"] for name in SETTINGS[-3:]] == ["1", "1", "2"]
    one, other, both = (float(dice[name]["mean"]) for name in SETTINGS[-3:])
    assert both == pytest.approx((one + other) / 2, abs=1e-5)
    values = [float(line["mean"]) for line in lines if line["metric"] == "threshold"]
    assert len(values) == 2


def test_measuring_again_replaces_a_row_and_keeps_the_others(paper: Path) -> None:
    before = read_tsv(paper / "measured.tsv")
    reproduce(paper, replace(_plan(paper), rows=frozenset({"intensity"})))
    after = read_tsv(paper / "measured.tsv")
    assert len(after) == len(before)
    assert {line["row"] for line in after} == {"intensity", "regions", "tiny"}


def test_a_pair_names_regions_before_and_after_the_slice_score(paper: Path) -> None:
    lines = [line for line in read_tsv(paper / "measured.tsv") if line["row"] == "regions"]
    assert {line["contrasts"] for line in lines} == {"flair+t1ce"}
    measured = [
        (line["region"], setting_of(line["threshold"]))
        for line in lines
        if line["metric"] == "dice"
    ]
    assert measured == [
        (region, setting)
        for setting in ("recipe", "slices")
        for region in ("whole", "core", "enhancing")
    ]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"rows": frozenset({"nonsense"})}, "nonsense"), ({"size": "huge"}, "brief")],
)
def test_an_unknown_row_or_size_is_named(paper: Path, wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        reproduce(paper, replace(_plan(paper), **wrong))


def test_a_fault_in_the_protocol_is_told_with_its_place(paper: Path) -> None:
    (paper / "protocol.yaml").write_text(PROTOCOL.replace("paper: A tiny paper", "pages: 3"))
    with pytest.raises(RecipeError) as caught:
        reproduce(paper, _plan(paper))
    assert "protocol.yaml: paper: Field required" in str(caught.value)
    assert "https:" not in str(caught.value)
    assert "Next: correct it in this file." in str(caught.value)


def test_a_scan_that_is_judged_now_is_never_left_among_those_learnt_from(
    tmp_path: Path,
) -> None:
    cohort = make_phantoms(tmp_path / "cohort", healthy=3, gliomas=0, lesions=0, spacing_mm=6.0)
    found = find(cohort)
    fitted = Recipe.load("intensity").with_changes(threshold="healthy_decision")
    row = Row(fitted, "intensity")
    work = Work(tmp_path / "work", device="cpu")
    train_row(row, found, [], work)
    assert "healthy_decision" in read_thresholds(work.run(row) / THRESHOLDS)
    fewer = replace(found, scans=found.scans[1:])
    with pytest.raises(UsageError, match=f"'{found.scans[0].subject}', which is not"):
        train_row(row, fewer, [], work)
    learnt = {"subjects": {"train": [found.scans[0].subject], "validation": []}}
    other = Work(tmp_path / "other", device="cpu")
    other.run(row).mkdir(parents=True)
    (other.run(row) / "environment.json").write_text(json.dumps(learnt))
    with pytest.raises(UsageError, match="another folder"):
        train_row(row, fewer, [], other)


PAPERS = Path(__file__).parents[3] / "recipes"
ROWS = sorted(PAPERS.glob("*/rows/*.yaml"))
TRIED = {
    "lambert2021": ("dense_2d", "dense_3d", "spatial_2d", "spatial_3d"),
    "myronenko2018": ("single_tta",),
    "paolini": ("ae", "ce_vae1", "vae2", "ce_vqvae"),
    "weninger2019": ("aae_l1", "biaae_mse", "dvae_ssim_t1ce", "vae1px_ssim", "vae_ce_l1"),
}
"""Rows of each paper that have all of its networks, losses and contrasts."""
PAIRS = [(paper, row) for paper, rows in TRIED.items() for row in rows]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the phantoms that every row is tried on."""
    return tmp_path_factory.mktemp("trial")


def _parts(path: Path) -> set[tuple[str, object]]:
    """Return what a row is made of."""
    recipe = Recipe.load(path)
    options = recipe.family.options
    return {
        ("network", (recipe.family.name, recipe.axes)),
        ("loss", options.get("reconstruction")),
        ("context encoding", "context_weight" in options),
        ("contrasts", recipe.contrasts),
    }


def test_the_rows_that_are_tried_have_all_parts_of_their_paper() -> None:
    for paper in {path.parts[-3] for path in ROWS}:
        parts = {path.stem: _parts(path) for path in ROWS if path.parts[-3] == paper}
        tried = set[tuple[str, object]]().union(*(parts[row] for row in TRIED[paper]))
        assert tried == set[tuple[str, object]]().union(*parts.values())


@pytest.mark.parametrize("path", ROWS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_row_of_every_paper_has_a_network(path: Path) -> None:
    with torch.device("meta"):  # hundreds of megabytes that need not be filled
        assert list(build_recipe_network(Recipe.load(path)).parameters())


@pytest.mark.parametrize(("paper_name", "row"), PAIRS, ids=[f"{one}-{row}" for one, row in PAIRS])
def test_each_network_and_loss_of_a_paper_runs(work: Path, paper_name: str, row: str) -> None:
    plan = trial(PAPERS / paper_name, work)
    path = reproduce(PAPERS / paper_name, replace(plan, rows=frozenset({row})))
    shutil.rmtree(work / "runs")  # the largest networks have hundreds of megabytes
    lines = [line for line in read_tsv(path) if line["row"] == row]
    assert {"dice", "auprc", "hd95_mm"} <= {line["metric"] for line in lines}


def test_the_curve_of_each_network_of_an_ensemble_is_kept(tmp_path: Path) -> None:
    recipe = Recipe.parse(ROW, origin="tiny")
    row = Row(recipe, "many", members=(3, 4))
    patience = recipe.training.patience
    for seed, epochs in ((3, patience + 1), (4, 2)):
        losses = [[number, 1.0 + number] for number in range(epochs)]
        write_tsv(tmp_path / f"runs/many/seed{seed}/metrics.tsv", ["epoch", "val_loss"], losses)
    ended = keep_curves(row, Work(tmp_path), tmp_path / "curves")
    assert ended == {"epochs": f"{patience + 1}, 2", "best_epoch": "0, 0", "ended": "limit"}
    assert len(read_tsv(tmp_path / "curves/tiny_seed3.tsv")) == patience + 1
    assert len(read_tsv(tmp_path / "curves/tiny_seed4.tsv")) == 2
    pair = Row(recipe, "pair", parts=(row, row))
    assert keep_curves(pair, Work(tmp_path), tmp_path / "curves")["best_epoch"] == "0, 0, 0, 0"
