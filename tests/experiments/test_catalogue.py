"""What the command lists, and that the page of the documentation says the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from anomri.cli import app
from anomri.errors import UsageError
from anomri.experiments import catalogue
from anomri.models import RECONSTRUCTORS

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "models.md"

in_checkout = pytest.mark.skipif(not PAGE.is_file(), reason="only in a checkout")


def test_every_family_is_listed() -> None:
    entries = catalogue.families()
    assert [entry.name for entry in entries] == list(RECONSTRUCTORS)
    cells = {entry.name: entry.cells() for entry in entries}
    assert cells["dvae"] == (
        "dvae",
        "dvae",
        "1 × 128 × 128",
        "16 × 12 × 12",
        "11",
        "45,377",
        "76 M",
        "3.4 MiB",
    )
    assert cells["intensity"][3:] == ("none", "0", "0", "0 M", "0.0 MiB")


@in_checkout
def test_every_row_is_listed_with_its_paper() -> None:
    entries = catalogue.rows(CHECKOUT / "recipes")
    files = (CHECKOUT / "recipes").glob("*/rows/*.yaml")
    assert {(entry.paper, entry.name) for entry in entries} == {
        (file.parents[1].name, file.stem) for file in files
    }
    one = catalogue.rows(CHECKOUT / "recipes" / "paolini")
    assert {entry.paper for entry in one} == {"paolini"}


@in_checkout
def test_the_page_is_up_to_date() -> None:
    fresh = catalogue.markdown(CHECKOUT / "recipes")
    assert fresh == PAGE.read_text(encoding="utf-8"), (
        "run `anomri models recipes --markdown > docs/models.md`"
    )


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rows/\*\.yaml"):
        catalogue.rows(tmp_path)


def test_the_command_prints_the_table_in_80_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, ["models"])
    assert done.exit_code == 0, done.output
    table = done.output.partition("ready to use")[0].splitlines()
    assert max(len(line.rstrip()) for line in table) <= 80
    for word in (
        "multiply-adds",
        "51,928,481",
        "biaae",
        "16 × 12 × 12",
        "ready to use",
        "intensity",
    ):
        assert word in done.output
