"""What nobody decided is not guessed: files that claim one role, and who is healthy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anomri import pipeline
from anomri.cli import app
from anomri.datasets import find
from anomri.detector import load
from anomri.errors import MissingContrast, ScanError, UsageError
from anomri.pipeline.evaluation import EvaluateTask
from anomri.preprocessing import PreparedFolder, note_ambiguous_files
from anomri.recipe import Recipe
from anomri.reporting import write_detection
from anomri.scan import (
    Detection,
    Scan,
    ScanFiles,
)

TABLE = "participants.tsv"


def _lay(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name[:6] / "anat" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    """A subject with one FLAIR, and one with two of it beside a T1."""
    names = ("sub-01_FLAIR", "sub-02_run-1_FLAIR", "sub-02_run-2_FLAIR", "sub-02_T1w")
    return _lay(tmp_path / "bids", *names)


def test_a_contrast_that_several_files_claim_says_so_when_it_is_missed(two_runs: Path) -> None:
    detector = load("intensity", device="cpu")
    with pytest.raises(MissingContrast, match=r"run-1_FLAIR.*run-2_FLAIR"):
        detector.prepare(find(two_runs).scans[1])


@pytest.mark.parametrize(
    ("command", "options"),
    [("detect", ["--model", "intensity", "--device", "cpu"]), ("prepare", ["--recipe", "lesions"])],
)
def test_a_dry_run_lists_what_the_model_refuses(
    two_runs: Path, command: str, options: list[str]
) -> None:
    done = CliRunner().invoke(app, [command, str(two_runs), *options, "--dry-run"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "sub-02: will be refused" in said
    assert "sub-01: will be refused" not in said


def test_optional_contrasts_and_masks_that_several_files_claim_are_noted() -> None:
    unclear = {"t1ce": "two files", "t2": "two files", "truth": "two raters"}
    files = ScanFiles(subject="a", contrasts={"flair": Path("f.nii")}, layout="x", unclear=unclear)
    noted = note_ambiguous_files(files, ["flair", "t1ce"]).notes
    assert [note.text for note in noted] == [
        "without t1ce: two files",
        "without expert labels: two raters",
    ]


def test_the_masks_of_two_raters_are_not_chosen_between(
    tmp_path: Path, ball_scan: Scan, detect_bright: Callable[[Scan], Detection]
) -> None:
    write_detection(detect_bright(ball_scan), tmp_path)
    files = ScanFiles(subject=ball_scan.label.removeprefix("sub-"), contrasts={}, layout="x")
    raters = replace(files, unclear={"truth": "more than one file: one and two"}, healthy=True)
    with pytest.raises(ScanError, match="one and two"):
        EvaluateTask(tmp_path, "")(raters)


@pytest.mark.parametrize(
    ("table", "unclear"),
    [
        (None, {}),
        ("participant_id\tage\nsub-01\t5\n", {}),
        ("participant_id\tgroup\nsub-01\tHC\nsub-02\tHC\n", {}),
        ("participant_id\tgroup\nsub-01\tHC\n", {"02": "no row"}),
        ("participant_id\tgroup\nsub-01\tHC\nsub-02\todd\n", {"02": "unknown values"}),
    ],
)
@pytest.mark.parametrize("layout", ["bids", "folder"])
def test_a_table_that_does_not_say_who_is_healthy_is_noted(
    tmp_path: Path, table: str | None, unclear: dict[str, str], layout: str
) -> None:
    root = _lay(tmp_path / "bids", "sub-01_FLAIR", "sub-02_FLAIR")
    if table is not None:
        (root / TABLE).write_text(table)
    scans = {scan.subject: scan for scan in find(root, layout).scans}
    found = {name: scan.unclear["healthy"] for name, scan in scans.items() if scan.unclear}
    assert found.keys() == unclear.keys()
    assert all(part in found[name] for name, part in unclear.items())


class _Read:
    @staticmethod
    def native_truth(*_: object) -> None:
        return None


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, False),  # healthy scans without a table
        ({"unclear": {"healthy": "no row"}}, True),
        ({"unclear": {"truth": "two raters"}}, True),
        ({"unclear": {"truth": "two raters"}, "healthy": False}, False),
    ],
)
def test_calibration_and_training_refuse_to_guess(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ball_scan: Scan,
    changes: dict[str, object],
    refused: bool,
) -> None:
    recipe, scan = Recipe.load("intensity"), replace(ball_scan, truth=None)
    prepared = PreparedFolder(tmp_path / "prepared", recipe.preparation, recipe.contrasts)
    monkeypatch.setattr(
        "anomri.preprocessing.prepared_folder.folder.read_subject", lambda *_, **__: _Read
    )
    monkeypatch.setattr(
        "anomri.preprocessing.prepared_folder.folder.prepare_subject", lambda *_, **__: scan
    )
    flair = tmp_path / "flair.nii"
    flair.touch()
    files = ScanFiles(subject=ball_scan.subject, contrasts={"flair": flair}, layout="x")
    prepared.add(replace(files, **changes))  # type: ignore[arg-type]
    assert bool(prepared.unclear()) is refused
    if refused:
        with pytest.raises(UsageError, match="which subjects are healthy"):
            pipeline.calibrate("intensity", prepared.folder, tmp_path / "run")
        with pytest.raises(UsageError, match="which subjects are healthy"):
            pipeline.train(recipe, prepared.folder, tmp_path / "run")
        assert not (tmp_path / "run").exists()
        assert prepared.add(replace(files, healthy=True))  # the table was completed
        assert not prepared.unclear()
