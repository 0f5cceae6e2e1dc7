"""Options as fields of objects: what Typer makes of them, and how the help lists them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from anomri.cli import app
from anomri.cli.option_objects import GroupedHelp, expand_options
from anomri.cli.options import ScanSelection
from anomri.errors import UsageError
from anomri.pipeline import Selection

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SELECTION = {"--layout", "--series", "--subjects", "--participant-label", "--split-file", "--split"}
EXECUTION = {"--workers", "--part", "--engine", "--scheduler"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    PANEL: ClassVar = "Colours"

    colour: Annotated[str, typer.Option(help="Required.")]
    tint: Annotated[float | None, typer.Option("--tint", "-t", help="Optional.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shades(Colours):
    shade: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None


@pytest.fixture
def painted() -> tuple[typer.Typer, list[tuple[str, Shades]]]:
    """A command with an argument and an option object, and its calls."""
    calls: list[tuple[str, Shades]] = []

    def paint(wall: Annotated[str, typer.Argument()], *, shades: Shades) -> None:
        calls.append((wall, shades))

    painting = typer.Typer(rich_markup_mode=None)
    painting.command(cls=GroupedHelp)(expand_options(paint))
    return painting, calls


def test_a_command_gets_its_option_objects(
    painted: tuple[typer.Typer, list[tuple[str, Shades]]],
) -> None:
    painting, calls = painted
    words = ["north", "--colour", "blue", "-t", "0.5", "--shade", "x", "--shade", "y"]
    for arguments in (words, words[:3]):
        result = CliRunner().invoke(painting, arguments)
        assert result.exit_code == 0, result.output
    (_, full), (wall, usual) = calls
    assert full == Shades(colour="blue", tint=0.5, shade=["x", "y"])
    assert (wall, usual.colour, usual.tint) == ("north", "blue", None)
    assert not usual.shade


def test_a_field_without_a_default_is_required(
    painted: tuple[typer.Typer, list[tuple[str, Shades]]],
) -> None:
    painting, calls = painted
    result = CliRunner().invoke(painting, ["north"])
    assert (result.exit_code, calls) == (2, [])
    assert "--colour" in result.output


def test_the_help_lists_the_fields_in_their_panel(
    painted: tuple[typer.Typer, list[tuple[str, Shades]]],
) -> None:
    text = CliRunner().invoke(painted[0], ["--help"]).output
    sections = [line for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert sections == ["Arguments:", "Colours:", "Options:"]
    assert "--tint" in text.partition("Colours:")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_narrow_terminal_shows_every_option(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], terminal_width=50)
    assert result.exit_code == 0
    words = result.output.replace(",", " ").split()
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert {*parameter.opts, *parameter.secondary_opts} <= set(words)
    assert max(len(line) for line in result.output.splitlines()) <= 50


@pytest.mark.parametrize(
    ("name", "panels"),
    [
        ("detect", {"Scans": {*SELECTION, "--brain-mask"}, "Execution": EXECUTION}),
        ("prepare", {"Scans": SELECTION, "Execution": EXECUTION}),
        ("evaluate", {"Execution": EXECUTION}),
    ],
)
def test_options_that_belong_together_are_listed_together(
    name: str, panels: dict[str, set[str]]
) -> None:
    text = CliRunner().invoke(app, [name, "--help"]).output
    for panel, options in panels.items():
        section = text.partition(f"\n{panel}:\n")[2].partition("\n\n")[0]
        assert {word for word in section.split() if word in options} == options


def test_every_command_is_summarised_in_one_line() -> None:
    text = CliRunner().invoke(app, ["--help"], terminal_width=80).output
    assert set(COMMANDS) <= set(text.split())
    assert "..." not in text.partition("Commands:")[2]


def test_a_split_and_subjects_are_not_both_followed(tmp_path: Path) -> None:
    table = tmp_path / "splits.tsv"
    table.write_text("subject\tsplit\na\ttrain\nb\ttrain\n")
    assert ScanSelection(split_file=table).selection() == Selection(frozenset("ab"))
    with pytest.raises(UsageError, match="leave one of them out"):
        ScanSelection(split_file=table, subjects="a").selection()
    with pytest.raises(UsageError, match="leave one of them out"):
        ScanSelection(split_file=table, participant_label=["a"]).selection()


@pytest.mark.parametrize(
    "words",
    [
        ["train", "demo", "--data", "d", "-o", "o", "--workers", "-1"],
        ["train", "demo", "--data", "d", "-o", "o", "--max-steps", "0"],
        ["train-lesions", ".", "-o", "o", "--steps", "0"],
        ["calibrate", "intensity", "--data", "d", "-o", "o", "--false-positive-ml", "-1"],
    ],
)
def test_numbers_that_mean_nothing_are_refused(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "greater than or equal" in result.output
