"""All families on the same scans, on small phantoms: from a definition to tables and a page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from anomri.cli import app
from anomri.datasets import Found, find
from anomri.detector import Detector, load
from anomri.errors import RecipeError, UsageError
from anomri.experiments.comparison import Definition, Plan, compare
from anomri.experiments.comparison.entries import (
    Run,
    Trainer,
    chosen_rows,
    fingerprint,
    runs_below,
    with_recipe,
)
from anomri.experiments.comparison.page import BEGIN, section
from anomri.experiments.comparison.score_table import Scores
from anomri.experiments.reproduction import Data, Row, Work, made_section, pair_steps
from anomri.files import read_tsv, write_tsv
from anomri.models import build_recipe_network, save_weights
from anomri.recipe import Recipe
from anomri.synthesis import make_phantoms

ROW = """
name: NAME
preparation: {spacing_mm: [6, 6, null], shape: [32, 32, null]}
family: {vae: {reconstruction: LOSS}}
training: {batch_size: 8, max_epochs: 1, validation_fraction: 0.4}
detection: {clean: [{erode_brain: {mm: 6}}], decide: mixture}
"""
PROTOCOL = """
paper: A tiny paper
train: [{folder: cohort, split: demo}]
test: [{name: phantoms, sources: [{folder: cohort, split: test}]}]
"""
DEFINITION = """
title: Two networks and none
rule: all there are
baseline: intensity
regions_baseline: intensity_regions
candidate: intensity
groups:
  - {name: no network, about: none, rows: [intensity, intensity_regions]}
  - {name: tiny, about: phantoms, paper: paper, rows: [one, other]}
regions_only: [intensity_regions]
test:
  - {name: tumours, about: drawn, sources: [{folder: cohort, split: test}], regions: true}
  - {name: rest, about: drawn, sources: [{folder: cohort, split: demo}], decisions: [own]}
pools: {all of them: [tumours, rest]}
aims: [{text: Dice, data: tumours, bound: 0.1}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison beside a paper with two rows, one of them trained, measured once."""
    root = tmp_path_factory.mktemp("recipes")
    (root / "paper" / "rows").mkdir(parents=True)
    (root / "paper" / "protocol.yaml").write_text(PROTOCOL)
    for name, loss in (("one", "mse"), ("other", "l1")):
        recipe = ROW.replace("NAME", name).replace("LOSS", loss)
        (root / "paper" / "rows" / f"{name}.yaml").write_text(recipe)
    make_run(root / "runs" / "far" / "one", Recipe.load(root / "paper" / "rows" / "one.yaml"))
    (root / "comparison").mkdir()
    (root / "comparison" / "comparison.yaml").write_text(DEFINITION)
    cohort = make_phantoms(root / "cohort", healthy=0, gliomas=3, lesions=0, spacing_mm=6.0)
    names = [files.subject for files in find(cohort).scans]
    parts = zip(names, ["demo", "test", "test"], strict=True)
    write_tsv(root / "splits.tsv", ["subject", "split"], list(parts))
    ran = run(root, "--no-train")
    assert "not trained: other" in ran
    return root / "comparison"


def make_run(run_folder: Path, recipe: Recipe) -> None:
    """Leave a run folder as a finished training would, with weights of chance."""
    torch.manual_seed(0)
    run_folder.mkdir(parents=True)
    (run_folder / "recipe.yaml").write_text(recipe.to_yaml())
    save_weights(build_recipe_network(recipe), run_folder / "weights.safetensors")
    write_tsv(run_folder / "metrics.tsv", ["epoch", "val_loss"], [(0, 1.0)])


def run(root: Path, *options: str, exit_code: int = 0) -> str:
    """Type the command; return what it says."""
    command = ["compare", root / "comparison", "--data", root, "-o", root / "work"]
    command += ["--runs", root / "runs", "--device", "cpu", *options]
    result = CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.output


def plan_of(folder: Path) -> Plan:
    root = folder.parent
    data = Data(root, root / "splits.tsv")
    return Plan(Definition.load(folder), data, Work(root / "work", "cpu", 1), root / "runs")


def test_every_row_has_its_scans_and_decisions(folder: Path) -> None:
    lines = read_tsv(folder / "scans.tsv")
    counts = {
        (row, decision): sum((one["row"], one["decision"]) == (row, decision) for one in lines)
        for row, decision in {(line["row"], line["decision"]) for line in lines}
    }
    # Two scans and one; three regions of the set where regions are named.
    assert counts == {
        ("intensity", "own"): 3,
        ("intensity_regions", "own"): 6,
        ("one", "own"): 3,
        ("one", "common"): 2,
    }
    assert all(0 <= float(line["dice"]) <= 1 for line in lines)


def test_the_common_decision_gives_a_network_other_figures(folder: Path) -> None:
    scores = Scores.of(folder)
    own, common = (scores.values("one", "dice", ["tumours"], decision=d) for d in ("own", "common"))
    assert own.keys() == common.keys()
    assert own != common


def test_lesions_are_counted_by_volume(folder: Path) -> None:
    lines = [one for one in read_tsv(folder / "scans.tsv") if one["region"] == "whole"]
    for line in lines:
        true = sum(int(cell) for name, cell in line.items() if name.startswith("lesions_"))
        found = sum(int(cell) for name, cell in line.items() if name.startswith("found_"))
        assert true >= 1
        assert found <= true


def test_a_second_call_measures_nothing(folder: Path) -> None:
    before, rows = ((folder / name).read_text() for name in ("scans.tsv", "rows.tsv"))
    (folder / "rows.tsv").write_text(rows.replace("full", "called otherwise before"))
    assert "0 tables measured, 6 unchanged" in run(folder.parent, "--no-train")
    assert (folder / "scans.tsv").read_text() == before
    assert (folder / "rows.tsv").read_text() == rows
    again = run(folder.parent, "--again", "--rows", "intensity")
    assert "2 tables measured, 0 unchanged" in again
    assert (folder / "scans.tsv").read_text() == before


def test_other_weights_and_other_scans_are_measured_anew(folder: Path) -> None:
    scores, place = Scores.of(folder), ("one", "own", "tumours")
    lines = [line for line in scores.lines if line["row"] == "one" and line["data"] == "tumours"]
    (mark,) = {line["fingerprint"] for line in lines if line["decision"] == "own"}
    subjects = {line["subject"] for line in lines}
    assert scores.is_current(place, mark, subjects)
    assert not scores.is_current(place, "0" * 16, subjects)
    assert not scores.is_current(place, mark, {*subjects, "new"})
    assert not scores.is_current(("one", "own", "moon"), mark, subjects)


def test_what_nobody_has_trained_is_trained_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(folder)
    trained: list[str] = []

    def train(row: Row, found: Found, settings: object, work: Work) -> str:
        assert len(found.scans) == 1
        make_run(work.run(row), row.recipe)
        trained.append(row.run)
        return str(work.run(row))

    monkeypatch.setattr("anomri.experiments.comparison.entries.train_row", train)
    one, other = chosen_rows(plan.definition, folder.parent, frozenset({"one", "other"}))
    runs = runs_below(folder.parent / "runs")
    trainer = Trainer(folder.parent, plan.data, replace(plan.work, folder=tmp_path), runs)
    assert trainer.detector(one)
    assert trained == []
    assert trainer.detector(other)
    assert trained == ["other"]
    again = replace(trainer, runs=runs_below(tmp_path))
    assert again.detector(other)
    assert trained == ["other"]
    assert (tmp_path / "paper" / "full" / "runs" / "other").is_dir()


def test_a_network_that_learnt_from_another_split_is_not_taken(
    folder: Path, tmp_path: Path
) -> None:
    definition = Definition.load(folder)
    (one,) = chosen_rows(definition, folder.parent, frozenset({"one"}))
    assert one.row is not None
    make_run(tmp_path / "one", one.row.recipe)
    trained_on, judged, _ = read_tsv(folder.parent / "splits.tsv")
    trainer = Trainer(
        folder.parent, plan_of(folder).data, Work(tmp_path), runs_below(tmp_path), trains=False
    )
    for name, taken in ((f"sub-{trained_on['subject']}", True), (judged["subject"], False)):
        said = {"subjects": {"train": [], "validation": [name]}}
        (tmp_path / "one" / "environment.json").write_text(json.dumps(said))
        assert bool(trainer.detector(one)) is taken


@pytest.mark.parametrize(
    ("change", "ended", "same"),
    [
        ({}, {}, True),
        ({"max_epochs": 99}, {"ended": "limit", "epochs": 30}, False),
        ({"max_epochs": 99}, {"ended": "patience", "epochs": 30}, True),
        ({"max_epochs": 30}, {"ended": "patience", "epochs": 30}, True),
        ({"max_epochs": 29}, {"ended": "patience", "epochs": 30}, False),
        ({"max_epochs": 99, "decay_exponent": 0.9}, {"ended": "patience", "epochs": 30}, False),
        ({"seed": 5}, {"ended": "patience", "epochs": 30}, False),
    ],
)
def test_a_run_that_stopped_by_itself_is_the_same_under_a_limit_it_did_not_reach(
    tmp_path: Path, change: dict[str, float], ended: dict[str, Any], same: bool
) -> None:
    recipe = Recipe.load("demo").with_changes(threshold="robust")
    training = recipe.training.model_copy(update=change)
    wanted = recipe.model_copy(update={"training": training})
    assert Run(tmp_path, recipe, ended).is_of(wanted) is same


def test_a_fingerprint_is_of_what_is_done_to_a_scan() -> None:
    detector = load("intensity", device="cpu")
    recipe = detector.recipe
    named = recipe.model_copy(update={"name": "other", "about": "other words"})
    trained = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": 9})})
    judged = recipe.with_changes(decide="above")
    brain = recipe.with_changes(preparation={"brain": "given"})
    prints = [
        fingerprint(with_recipe(detector, one)) for one in (recipe, named, trained, judged, brain)
    ]
    assert prints[0] == prints[1] == prints[2]
    assert len(set(prints)) == 3
    maps = {"whole": detector.first, "enhancing": detector.first}
    assert fingerprint(Detector(maps, pair_steps())) not in prints


@pytest.mark.parametrize("rule", ["healthy", "healthy_decision", "labelled"])
def test_a_fitted_threshold_must_be_there(tmp_path: Path, rule: str) -> None:
    recipe = Recipe.load("demo").with_changes(threshold=rule)
    assert not Run(tmp_path, recipe, {}).is_of(recipe)
    (tmp_path / "thresholds.json").touch()
    assert Run(tmp_path, recipe, {}).is_of(recipe)


def test_the_page_is_made_from_the_tables(folder: Path) -> None:
    page = (folder / "README.md").read_text()
    assert page.startswith("# Two networks and none\n")
    made = made_section(page, BEGIN)
    assert "Not measured yet: `other`" in made
    assert "### tumours, 2 scans" in made
    assert "### all of them, 3 scans" in made
    assert "| `intensity` | no network | 2 |" in made
    assert "| `intensity_regions` | no network |" in section(folder, Definition.load(folder))


def test_a_row_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match="nonsense"):
        compare(folder, replace(plan_of(folder), rows=frozenset({"nonsense"})))


def test_a_scan_that_fails_is_named_on_the_page(folder: Path) -> None:
    root = folder.parent
    first = find(root / "cohort").scans[0]
    path = first.contrasts["flair"]
    kept = path.read_bytes()
    table = (folder / "scans.tsv").read_text()
    (folder / "scans.tsv").unlink()
    path.write_bytes(b"no image")
    run(root, "--rows", "intensity", exit_code=3)
    made = section(folder, Definition.load(folder))
    path.write_bytes(kept)
    assert f"`intensity` on {first.subject} of `rest`" in made
    (folder / "scans.tsv").write_text(table)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("[one, other]", "[one, one]", "duplicate rows: one"),
        ("candidate: intensity", "candidate: none", "rows in no group: none"),
        ("[tumours, rest]}", "[tumours, moon]}", "unknown sets in pools: moon"),
        ("data: tumours", "data: moon", "unknown sets in aims: moon"),
    ],
)
def test_a_definition_that_cannot_be_right_is_refused(
    tmp_path: Path, old: str, new: str, word: str
) -> None:
    (tmp_path / "comparison.yaml").write_text(DEFINITION.replace(old, new))
    with pytest.raises(RecipeError, match=word):
        Definition.load(tmp_path)


def test_a_folder_without_a_definition_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"expected comparison\.yaml"):
        Definition.load(tmp_path)
