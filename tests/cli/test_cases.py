"""`make cases` runs scripts from outside of the repository and tells which lines to look at."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cases.py"
CASES = {
    "public/01_well.py": "import os; print('exit 0', os.environ['ANOMRI'], os.environ['WORK'])",
    "public/common.py": "raise SystemExit(9)  # not a case",
    "reliability/02_bad.py": "print('a FAULT'); print('fine'); raise SystemExit(2)",
}


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> object:
    """Run the script with these arguments; return what it exits with."""
    monkeypatch.setattr(sys, "argv", ["cases.py", *map(str, words)])
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    except SystemExit as end:
        return end.code
    return 0


def test_each_script_is_run_in_a_copy_and_what_is_suspicious_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in CASES.items():
        (tmp_path / "cases" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cases" / name).write_text(text)
    monkeypatch.setenv("PHANTOMS", str(tmp_path))
    words = (tmp_path / "cases", tmp_path / "scratch")
    assert run(monkeypatch, *words) is True
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert said == ["    a FAULT", "    exit code 2"]
    assert run(monkeypatch, *words, "--only", "*/01_*") is False
    log = (tmp_path / "scratch" / "logs" / "public_01_well.txt").read_text()
    assert str(tmp_path / "scratch" / "work") in log


def test_without_cases_nothing_is_run_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path / "nowhere", tmp_path) == 0
    assert "no cases run: nowhere" in capsys.readouterr().out
