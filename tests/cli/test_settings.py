"""Settings of a machine: an option, the environment, the file, the default."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from anomri import pipeline
from anomri.batch import Execution, Outcome
from anomri.cli import app
from anomri.cli.settings import FILE, OF_SCANS, THREADS, WORKERS, MachineSettings, read_settings
from anomri.errors import UsageError


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of workers that `anomri prepare` was run with, in a folder of its own."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "flair.nii").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    used: list[int] = []

    def prepare(*_: object, execution: Execution, **__: object) -> Outcome:
        used.append(execution.executor.workers)
        return Outcome()

    monkeypatch.setattr(pipeline, "prepare", prepare)
    return used


def test_the_closest_setting_counts(
    workers: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["prepare", "study", "-o", "out"]
    CliRunner().invoke(app, words)
    Path(FILE).write_text("workers = 2\n", encoding="utf-8")
    CliRunner().invoke(app, words)
    monkeypatch.setenv("ANOMRI_WORKERS", "3")
    CliRunner().invoke(app, words)
    CliRunner().invoke(app, [*words, "--workers", "4"])
    assert workers == [1, 2, 3, 4]
    (tmp_path / "other.toml").write_text("workers = 5\n", encoding="utf-8")
    monkeypatch.delenv("ANOMRI_WORKERS")
    monkeypatch.setenv("ANOMRI_CONFIG", str(tmp_path / "other.toml"))
    CliRunner().invoke(app, words)
    assert workers[-1] == 5


def test_the_help_shows_the_value_of_the_file(workers: list[int]) -> None:
    Path(FILE).write_text('device = "cuda"\nbrain = "stripped"\n', encoding="utf-8")
    text = " ".join(CliRunner().invoke(app, ["detect", "--help"]).output.split())
    assert "default: cuda" in text
    assert "default: stripped" in text
    assert "env var: ANOMRI_BRAIN" in text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("workers = 0\n", "workers"),
        ("workers = true\n", "workers"),
        ("worker = 2\n", "known entries: device, workers, threads, brain"),
        ("workers 2\n", "expected TOML"),
    ],
)
def test_a_wrong_file_is_refused(workers: list[int], text: str, fault: str) -> None:
    Path(FILE).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"anomri\.toml") as error:
        read_settings(Path(FILE))
    assert fault in str(error.value)
    result = CliRunner().invoke(app, ["prepare", "study", "-o", "out"])
    assert isinstance(result.exception, UsageError)


def test_the_file_reaches_every_command_that_the_environment_reaches() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    of_scans = {
        name
        for name, command in commands.items()
        if any(parameter.envvar in (WORKERS, THREADS) for parameter in command.params)
    }
    assert of_scans == set(OF_SCANS)


def test_every_setting_is_optional(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    assert read_settings(tmp_path / FILE) == MachineSettings()
