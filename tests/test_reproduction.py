"""A paper's rows on small phantoms: from recipes and a split to a measured table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anomri.cli import app
from anomri.datasets import find, make_phantoms
from anomri.errors import UsageError
from anomri.reproduction import SETTINGS, Protocol, reproduce
from anomri.tsv import read_tsv

ROW = """
name: tiny
preparation: {spacing_mm: [4, 4, null], shape: [64, 64, null]}
family: {vae: {reconstruction: mse}}
training: {batch_size: 8, max_epochs: 1, validation_fraction: 0.4}
detection: {clean: [{erode_brain: {mm: 4}}], decide: mixture}
"""


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paper with one row, a cohort with a split, and the table made from them."""
    root = tmp_path_factory.mktemp("paper")
    (root / "rows").mkdir()
    (root / "rows" / "tiny.yaml").write_text(ROW)
    cohort = make_phantoms(root / "cohort", healthy=2, gliomas=2, lesions=0, spacing_mm=4.0)
    names = [files.subject for files in find(cohort).scans]
    lines = [f"{name}\t{part}" for name, part in zip(names, ["train"] * 3 + ["test"], strict=True)]
    (root / "splits.tsv").write_text("\n".join(["subject\tsplit", *lines]) + "\n")
    command = ["reproduce", root, "--data", cohort, "--split-file", root / "splits.tsv"]
    result = CliRunner().invoke(
        app, [*map(str, command), "-o", str(root / "work")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return root


def test_each_row_is_measured_under_each_setting(paper: Path) -> None:
    table = read_tsv(paper / "measured.tsv")
    dice = [line for line in table if line["metric"] == "dice"]
    assert {line["row"] for line in dice} == {"intensity", "tiny"}
    for row in ("intensity", "tiny"):
        assert [line["threshold"] for line in dice if line["row"] == row] == list(SETTINGS)
    assert all(0 <= float(line["mean"]) <= 1 for line in dice)


def test_a_trained_row_names_its_weights(paper: Path) -> None:
    hashes = {line["row"]: line["weights_sha256"] for line in read_tsv(paper / "measured.tsv")}
    assert len(hashes["tiny"]) == 16
    assert hashes["intensity"] == "n/a"


def test_measuring_again_replaces_a_row_and_keeps_the_others(paper: Path) -> None:
    before = read_tsv(paper / "measured.tsv")
    protocol = Protocol(
        data=paper / "cohort",
        layout="auto",
        split_file=paper / "splits.tsv",
        work=paper / "work",
    )
    reproduce(paper, protocol, rows=frozenset({"intensity"}), device="cpu")
    after = read_tsv(paper / "measured.tsv")
    assert len(after) == len(before)
    assert {line["row"] for line in after} == {"intensity", "tiny"}


def test_an_unknown_row_is_named(paper: Path) -> None:
    protocol = Protocol(
        data=paper, layout="auto", split_file=paper / "splits.tsv", work=paper / "work"
    )
    with pytest.raises(UsageError, match="nonsense"):
        reproduce(paper, protocol, rows=frozenset({"nonsense"}))


PAPERS = Path(__file__).parents[1] / "recipes"
ALL = [(path.parts[-3], path.stem) for path in sorted(PAPERS.glob("*/rows/*.yaml"))]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Protocol:
    """Phantoms to try every row on."""
    return Protocol.smoke(tmp_path_factory.mktemp("trial"))


@pytest.mark.parametrize(("paper_name", "row"), ALL, ids=[f"{paper}-{row}" for paper, row in ALL])
def test_every_row_of_every_paper_runs(trial: Protocol, paper_name: str, row: str) -> None:
    path = reproduce(PAPERS / paper_name, trial, rows=frozenset({row}), device="cpu")
    shutil.rmtree(trial.work / "runs")  # the largest networks have hundreds of megabytes
    lines = [line for line in read_tsv(path) if line["row"] == row]
    assert {"dice", "auprc", "hd95_mm"} <= {line["metric"] for line in lines}
