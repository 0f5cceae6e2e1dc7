"""What the terminal says of a batch."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer

from anomri.batch import Outcome
from anomri.cli import terminal
from anomri.errors import Failure
from anomri.files import SUMMARY, write_tsv


@pytest.mark.parametrize(
    ("subject", "file", "begins"),
    [("01", "flair.nii", "01: flair.nii: bad"), ("01", "01", "01: bad"), ("01", "", "01: bad")],
)
def test_a_failure_is_named_once(
    capsys: pytest.CaptureFixture[str], subject: str, file: str, begins: str
) -> None:
    failure = Failure(subject=subject, label="sub-x", file=file, reason="bad", next_step="mend it")
    with pytest.raises(typer.Exit):
        terminal.finish(Outcome(failures=[failure]), Path("out"))
    assert f"  {begins}. Next: mend it" in "".join(capsys.readouterr())


def test_the_outcome_is_printed_for_programs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    columns = ("subject", "label", "status", "lesion_volume_ml", "scan_score")
    rows = [
        ("007", "sub-007", "finished", 3.5, None),
        ("other", "sub-other", "finished", 1, 1),
        ("bad", "sub-bad", "failed", None, None),
    ]
    write_tsv(tmp_path / SUMMARY, columns, rows)
    failure = Failure(
        subject="bad", label="sub-bad", reason="no image", next_step="export it again"
    )
    outcome = Outcome(done=["sub-007"], failures=[failure], exit_codes={3})
    with pytest.raises(typer.Exit) as end:
        terminal.finish(outcome, tmp_path, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert end.value.exit_code == 3
    (scan,) = printed["scans"]  # scans of other calls are not listed
    assert scan["subject"] == "007"
    assert scan["lesion_volume_ml"] == 3.5
    assert scan["scan_score"] is None
    assert printed["not_used"][0]["next_step"] == "export it again"
    assert printed["report"] is None


def test_recall_is_printed_by_size(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "size_class": "0.1 to 1 ml", "true_lesion_count": "4", "detected_lesion_count": "3",
        "lesion_sensitivity": "0.75", "lower": "nan", "upper": "nan", "n": "1",
    }  # fmt: skip
    terminal.show_recall([row, {**row, "size_class": "1 to 10 ml", "n": "0"}])
    shown = capsys.readouterr().out
    assert "3 of 4" in shown
    assert "0.750" in shown
    assert "1 to 10 ml" not in shown
    terminal.show_recall([])
    assert capsys.readouterr().out == ""


WIDE_TABLE = (("row", "size", "notes"), [["vae", "26,032,871", "word " * 20], ["[b]ae", "1", "x"]])


def test_a_table_is_one_line_a_row_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal.show_table(*WIDE_TABLE)
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["row", "size", "notes"]
    assert first.split()[:2] == ["vae", "26,032,871"]
    assert first.count("word") == 20
    assert second.split() == ["[b]ae", "1", "x"]


def test_a_wide_table_is_not_cut_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    terminal.show_table(*WIDE_TABLE)
    shown = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert "size 26,032,871" in shown
    assert shown.count("word") == 20
    assert "[b]ae" in shown
    assert max(map(len, shown.splitlines())) <= 40


def test_the_table_in_the_working_directory_is_named_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    failure = Failure(subject="a", label="sub-a", reason="damaged", next_step="copy it")
    terminal.show_outcome(Outcome(failures=[failure]), Path())
    assert "listed in out/failures.tsv" in "".join(capsys.readouterr())
