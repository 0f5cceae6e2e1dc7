"""Published beside measured: lookups, the order of models, and the READMEs made from the TSVs."""

from __future__ import annotations

from pathlib import Path

import pytest

from anomri.errors import RecipeError, UsageError
from anomri.experiments.reproduction import Protocol, halves, tables_of, write_page
from anomri.experiments.reproduction.figures import Figures, order_of
from anomri.experiments.reproduction.page import made_section, section
from anomri.experiments.reproduction.protocol import Size, Source
from anomri.experiments.reproduction.rows import resized, rows_of
from anomri.experiments.reproduction.scans import Data
from anomri.experiments.reproduction.table import replace_lines
from anomri.files import read_tsv
from anomri.recipe import Recipe

PAPERS = sorted(path.parent for path in Path(__file__).parents[3].glob("recipes/*/protocol.yaml"))
PROTOCOL = """
paper: A paper
train: [{split: train}]
test: [{name: D, sources: [{split: test}]}]
sizes: {full: {about: all of it}, small: {about: less of it}}
tables:
  - title: T
    columns:
      - {title: Dice, metric: dice, quantity: Q, data: D}
      - {title: both, metric: dice, quantity: Q, spread: S, data: D}
  - title: E
    columns: [{title: error, metric: hd95_mm, quantity: H, data: D}]
differences: [everything]
"""
PUBLISHED = [
    ("a", "Q", "0.40"),
    ("b", "Q", "0.3"),
    ("a", "S", "0.10"),
    ("a", "H", "2"),
    ("b", "H", "5"),
]
MEASURED = [
    ("a", "small", "dice", 0.5, 0.45, 0.55),
    ("b", "small", "dice", 0.6, 0.56, 0.7),
    ("a", "small", "hd95_mm", 3.0, 1.0, 9.0),
    ("b", "small", "hd95_mm", 4.0, 1.0, 9.0),
    ("intensity", "full", "dice", 0.55, 0.5, 0.6),
]


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """A paper with two models, ranked one way by Dice and the other way by us."""
    (tmp_path / "protocol.yaml").write_text(PROTOCOL)
    lines = ["row\ttable\tquantity\tvalue", *(f"{r}\t1\t{q}\t{v}" for r, q, v in PUBLISHED)]
    (tmp_path / "published.tsv").write_text("\n".join(lines) + "\n")
    common = {"data": "D", "region": "whole", "threshold": "recipe (label-free)", "sd": 0.2}
    ended = {"epochs": 9, "best_epoch": 3, "ended": "patience", "seed": 0, "commit": "abc"}
    replace_lines(
        tmp_path / "measured.tsv",
        [
            {"row": r, "size": s, "metric": m, "mean": v, "lower": low, "upper": up, **common}
            | (ended if r != "intensity" else {})
            for r, s, m, v, low, up in MEASURED
        ],
    )
    return tmp_path


@pytest.mark.parametrize("folder", PAPERS, ids=lambda folder: folder.name)
def test_the_readme_says_what_the_tables_say(folder: Path) -> None:
    made = made_section((folder / "README.md").read_text(encoding="utf-8"))
    assert made == section(folder, Protocol.load(folder)), (
        "the README is not made from the TSVs: run `anomri reproduce` or `write_page` again"
    )


@pytest.mark.parametrize("folder", PAPERS, ids=lambda folder: folder.name)
def test_a_protocol_names_what_was_published(folder: Path) -> None:
    protocol = Protocol.load(folder)
    published = {line["quantity"] for line in read_tsv(folder / "published.tsv")}
    columns = [column for table in protocol.tables for column in table.columns]
    named = {name for c in columns for name in (c.quantity, c.spread) if name}
    assert named
    assert named <= published
    for size in protocol.sizes:
        assert rows_of(folder, protocol, size, frozenset())


def test_figures_stand_beside_each_other(paper: Path) -> None:
    table, _, endings = tables_of(paper, Protocol.load(paper))
    assert table.headings[2:] == ("Dice, paper", "Dice, ours", "both, paper", "both, ours")
    intensity, first, second = table.rows
    assert intensity == ("`intensity`", "full", "–", "0.550 (0.50 to 0.60)", "–", "0.550 ± 0.200")
    assert first[2:] == ("0.40", "0.500 (0.45 to 0.55)", "0.40 ± 0.10", "0.500 ± 0.200")
    assert second[:4] == ("`b`", "small", "0.3", "0.600 (0.56 to 0.70)")
    assert endings.rows[0][:5] == (
        "`a`",
        "small",
        "9",
        "3",
        "no improvement within the recipe's patience",
    )


def test_a_figure_that_is_none_is_not_shown(paper: Path) -> None:
    path = paper / "measured.tsv"
    path.write_text(path.read_text().replace("0.55\t0.5\t0.6", "n/a\tn/a\tn/a"))
    table, _, _ = tables_of(paper, Protocol.load(paper))
    assert all(row[0] != "`intensity`" for row in table.rows)


def test_the_order_is_compared_by_pairs_and_less_error_is_better(paper: Path) -> None:
    dice, error = order_of(Protocol.load(paper), Figures.of(paper))
    assert "the order is not reproduced: 0 of 1 pairs" in dice
    assert "apart in 1" in dice
    assert "Best in the paper of these 2: `a`; here: `b`" in dice
    assert "1 of 2 models is better than `intensity`, which has no network (0.550)" in dice
    assert "the order is reproduced: 1 of 1 pairs" in error
    assert "apart in 0" in error
    assert "`a`; here: `a`" in error


def test_the_page_keeps_what_is_around_it(paper: Path) -> None:
    protocol = Protocol.load(paper)
    write_page(paper, protocol)
    readme = paper / "README.md"
    assert readme.read_text().startswith("# A paper\n\n<!-- Made by")
    readme.write_text("before\n\n" + readme.read_text() + "\nafter\n")
    once = write_page(paper, protocol).read_text()
    assert once.startswith("before\n\n# A paper")
    assert once.endswith("\n\nafter\n")
    assert write_page(paper, protocol).read_text() == once
    assert once.count("## Published and measured") == 1


def test_a_figure_that_changed_changes_the_page(paper: Path) -> None:
    protocol = Protocol.load(paper)
    before = section(paper, protocol)
    path = paper / "measured.tsv"
    path.write_text(path.read_text().replace("\t0.6\t", "\t0.7\t"))
    assert section(paper, protocol) != before


def test_a_measurement_replaces_its_own_lines_only(paper: Path) -> None:
    path = paper / "measured.tsv"
    line = {"row": "a", "size": "small", "data": "D", "region": "whole"}
    replace_lines(path, [{**line, "threshold": "recipe (label-free)", "metric": "dice", "mean": 1}])
    kept = [(one["row"], one["metric"], one["mean"]) for one in read_tsv(path)]
    assert kept == [
        ("a", "dice", "1"),
        ("b", "dice", "0.6"),
        ("b", "hd95_mm", "4"),
        ("intensity", "dice", "0.55"),
    ]
    replace_lines(path, [{**line, "size": "full", "threshold": "recipe", "metric": "dice"}])
    assert len(read_tsv(path)) == len(kept) + 1


def test_a_size_changes_what_it_names_and_nothing_else() -> None:
    recipe = Recipe.load("intensity")
    change = {"training": {"max_epochs": 3}, "preparation": {"shape": [8, 8, None]}}
    size = Size(change=change, rows={"intensity": {"training": {"patience": 2}}})
    small = resized(recipe, size)
    assert (small.training.max_epochs, small.training.patience) == (3, 2)
    assert small.size == (8, 8)
    assert small.preparation.spacing_mm == recipe.preparation.spacing_mm
    assert small.detection == recipe.detection


def test_a_size_that_changes_a_row_that_is_not_there_is_refused() -> None:
    folder = next(path for path in PAPERS if path.name == "paolini")
    size = Size(rows={"ce_aae": {"training": {"max_epochs": 1}}})
    protocol = Protocol.load(folder).model_copy(update={"sizes": {"odd": size}})
    with pytest.raises(UsageError, match=r"no row \['ce_aae'\]"):
        rows_of(folder, protocol, "odd", frozenset())


def test_a_folder_without_rows_is_refused_by_name(tmp_path: Path) -> None:
    protocol = Protocol.load(next(path for path in PAPERS if path.name == "paolini"))
    plain = protocol.model_copy(update={"ensembles": {}, "pairs": {}})
    with pytest.raises(
        UsageError, match=rf"^{tmp_path.name}: expected recipes in rows/, found none"
    ):
        rows_of(tmp_path, plain, "full", frozenset())


def test_an_ensemble_of_a_row_that_is_not_there_is_refused() -> None:
    folder = next(path for path in PAPERS if path.name == "myronenko2018")
    protocol = Protocol.load(folder).model_copy(update={"ensembles": {"many": "singel"}})
    with pytest.raises(UsageError, match=r"no row \['singel'\]"):
        rows_of(folder, protocol, "full", frozenset())


def test_a_size_that_makes_no_recipe_is_refused() -> None:
    with pytest.raises(RecipeError, match="max_epoch"):
        resized(Recipe.load("intensity"), Size(change={"training": {"max_epoch": 3}}))


def test_rows_that_learn_alike_share_a_run_and_an_ensemble_has_seeds() -> None:
    folder = next(path for path in PAPERS if path.name == "myronenko2018")
    rows = {
        row.recipe.name: row for row in rows_of(folder, Protocol.load(folder), "small", frozenset())
    }
    assert rows["single_tta"].run == rows["single"].run == "single"
    assert rows["ensemble"].members == (0, 1, 2)
    assert rows["ensemble"].run == "ensemble"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("data: D}", "data: X}", "'X'"),
        ("full: ", "whole: ", "full"),
        ("paper:", "papers:", "papers"),
    ],
)
def test_a_protocol_that_cannot_be_right_is_refused(
    tmp_path: Path, old: str, new: str, word: str
) -> None:
    (tmp_path / "protocol.yaml").write_text(PROTOCOL.replace(old, new))
    with pytest.raises(RecipeError, match=word):
        Protocol.load(tmp_path)


def test_a_missing_protocol_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"expected protocol\.yaml"):
        Protocol.load(tmp_path)


def test_halves_take_turns_and_sources_are_joined(tmp_path: Path) -> None:
    for name in ("one/a", "one/b", "one/c", "two/d"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "flair.nii.gz").touch()
    lines = [f"{name}\ttest" for name in "abcd"]
    (tmp_path / "splits.tsv").write_text("\n".join(["subject\tsplit", *lines]) + "\n")
    data = Data(tmp_path, tmp_path / "splits.tsv")
    found = data.scans_of([Source(folder="one"), Source(folder="two")])
    first, second = halves(found)
    assert [files.subject for files in first.scans] == ["a", "c"]
    assert [files.subject for files in second.scans] == ["b", "d"]
    with pytest.raises(UsageError, match="sub-a: is in more than one"):
        data.scans_of([Source(folder="one"), Source(folder="one")])
    with pytest.raises(UsageError, match="three: the protocol expects this folder"):
        data.scans_of([Source(folder="three")])
