"""What commands say: more, less, into a file, and one line for each scan without a terminal."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anomri.batch import Execution, ScanSummary, run_batch
from anomri.cli import app, messages
from anomri.datasets import Found
from anomri.errors import BadIntensities
from anomri.scan import ScanFiles


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave logging as it was: pytest's own handlers read it."""
    level = logging.getLogger("anomri").level
    yield
    messages.set_up(anew=True)
    logging.getLogger().removeHandler(messages._handler)
    logging.getLogger("anomri").setLevel(level)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for name in ("p1", "p2"):
        (tmp_path / "study" / name).mkdir(parents=True)
        (tmp_path / "study" / name / "flair.nii").touch()
    return tmp_path / "study"


def _scan(subject: str) -> ScanFiles:
    return ScanFiles(subject=subject, contrasts={}, layout="folder")


def _task(files: ScanFiles) -> ScanSummary | bool:
    if files.subject == "bad":
        raise BadIntensities("flair.nii", expected="a scan", got="zeros", next_step="export again")
    return ScanSummary(3, 4.21, 6.3) if files.subject == "new" else False


def test_a_line_for_each_scan_says_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    messages.set_up(anew=True)
    found = Found(tuple(_scan(name) for name in ("new", "old", "bad")), (), "folder")
    run_batch(found, _task, Execution(), "detecting")
    assert capsys.readouterr().err.splitlines() == [
        "1/3 sub-new done, 3 lesions, 4.2 ml, 6 s",
        "2/3 sub-old unchanged",
        "3/3 sub-bad failed: flair.nii: expected a scan, got zeros",
    ]
    messages.set_up(quiet=True)
    run_batch(found, _task, Execution(), "detecting")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("place", ["before", "after"])
def test_options_stand_before_or_after_the_command(study: Path, place: str) -> None:
    options = ["-q", "--log-file", str(study.parent / "logs" / "anomri.log")]
    words = ["prepare", str(study), "--dry-run"]
    result = CliRunner().invoke(app, [*options, *words] if place == "before" else words + options)
    assert (result.exit_code, result.output) == (0, "")
    lines = (study.parent / "logs" / "anomri.log").read_text("utf-8").splitlines()
    assert lines[0].endswith("INFO 2 scans found (layout: folder)")


def test_the_log_file_is_of_one_call(study: Path) -> None:
    log = study.parent / "anomri.log"
    for options in (["--log-file", str(log)], []):
        CliRunner().invoke(app, ["prepare", str(study), "--dry-run", *options])
    assert len(log.read_text("utf-8").splitlines()) == 3


def test_a_dry_run_is_printed_for_programs(study: Path) -> None:
    result = CliRunner().invoke(app, ["prepare", str(study), "--dry-run", "--json"])
    content = json.loads(result.output)
    assert [scan["label"] for scan in content["scans"]] == ["sub-p1", "sub-p2"]
    assert content["scans"][0]["contrasts"] == {"flair": str(study / "p1" / "flair.nii")}
    assert content["scans"][0]["refused"] is None


def test_models_are_printed_for_programs() -> None:
    content = json.loads(CliRunner().invoke(app, ["models", "--json"]).output)
    assert "default" in content["ready_to_use"]
    assert content["models"]


@pytest.mark.parametrize("command", [[], ["detect"], ["bids-app"], ["models"]])
def test_help_has_a_short_option(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "-h"])
    assert result.exit_code == 0
    assert "Usage:" in result.output
