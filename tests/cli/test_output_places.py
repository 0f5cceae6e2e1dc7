"""Every option that names a place to write to refuses odd places before anything is computed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from anomri.cli import app, main
from anomri.cli.messages import set_up

PLACE = "PLACE"
COMMANDS = {
    "audit": ["scans", "-o", PLACE],
    "prepare": ["scans", "--recipe", "default", "-o", PLACE],
    "train": ["intensity", "--data", "scans", "-o", PLACE],
    "train-lesions": ["scans", "-o", PLACE],
    "adapt": ["scans", "-o", PLACE],
    "calibrate": ["default", "--data", "scans", "-o", PLACE],
    "detect": ["scans", "-o", PLACE],
    "follow": ["scans", "scans", "-o", PLACE],
    "evaluate": ["scans", "--truth", "scans", "-o", PLACE],
    "view": ["scans", "-o", PLACE],
    "export": ["scans", "--for", "slicer", "-o", PLACE],
    "reproduce": ["scans", "--data", "scans", "-o", PLACE],
    "compare": ["scans", "--data", "scans", "-o", PLACE],
    "demo": ["-o", PLACE],
    "models pack": ["default", PLACE],
    "bids-app": ["scans", PLACE, "participant"],
    "serve": ["--work-dir", PLACE],
}
OTHERS = {
    "bids-app": ["scans", "out", "participant", "--work-dir", PLACE],
    "models list": ["--log-file", PLACE],
    "detect": ["scans", "-o", "out", "--log-file", PLACE],
}
PLACES = {
    "below a file": "file/out",
    "below a link to itself": "loop/out",
    "a name too long": "x" * 300,
    "below a link to nothing": "dangling/out",
}
FOR_FOLDERS = {"a file": "file", "a device": "/dev/null", "a link to nothing": "dangling"}
FILES = ("view", "models pack")
WHOLLY = ("detect", "view", "models pack", "bids-app", "serve")
"""Commands that all places are tried with; the others share the check of one of these."""


def _written() -> Iterator[tuple[str, Any]]:
    """Yield the commands, and their parameters that name a place to write to."""
    root: Any = typer.main.get_command(app)
    groups = {"": root, "models ": root.commands["models"]}
    for prefix, group in groups.items():
        for name, command in group.commands.items():
            for parameter in command.params:
                if parameter.name in ("out", "output_dir", "archive", "work_dir"):
                    yield prefix + name, parameter


def test_the_table_holds_every_command_that_writes() -> None:
    assert {name for name, _ in _written()} == {*COMMANDS}


@pytest.mark.parametrize(
    ("command", "options", "place"),
    [
        pytest.param(name, options, place, id=f"{name}, {about}")
        for table in (COMMANDS, OTHERS)
        for name, options in table.items()
        for about, place in {
            **PLACES,
            **({} if name in FILES or "--log-file" in options else FOR_FOLDERS),
        }.items()
        if name in WHOLLY or about == "below a file"
    ],
)
def test_an_odd_place_is_named(
    command: str,
    options: list[str],
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "none" / "x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = sorted(tmp_path.rglob("*"))
    words = [place if word is PLACE else word for word in options]
    monkeypatch.setattr("sys.argv", ["anomri", *command.split(), *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert f"anomri: {place}: " in said.replace("\n", "")
    assert "Next: check the path" in said.replace("\n", " ")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_log_file_that_fails_costs_the_messages_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    set_up(log_file=Path("/dev/full"), anew=True)
    logging.getLogger("anomri").info("one")
    logging.getLogger("anomri").info("two")
    set_up(anew=True)
    said = capsys.readouterr().err
    assert said.count("full: cannot be written") == 1
    assert "Traceback" not in said


def test_a_log_file_in_proc_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("no /proc on this system")
    monkeypatch.setattr("sys.argv", ["anomri", "--log-file", "/proc/none/log", "models"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "/proc/none/log" in capsys.readouterr().err
