"""What the figures of scans come to: pairs, classes of volume, words and the page itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from anomri.experiments.comparison import Definition, write_html_page, write_page
from anomri.experiments.comparison.findings import aims_of, findings_of
from anomri.experiments.comparison.formatting import change
from anomri.experiments.comparison.page import BEGIN, section
from anomri.experiments.comparison.score_table import Scores, replace_lines
from anomri.experiments.comparison.statistics import lesions_by_volume, paired, reached
from anomri.experiments.reproduction import made_section
from anomri.files import read_tsv

FOLDER = Path(__file__).parents[3] / "recipes" / "comparison"
DEFINITION = """
title: T
rule: R
baseline: base
candidate: base
groups:
  - {name: none, about: N, rows: [base]}
  - {name: paper, about: P, paper: p, rows: [better, worse, untrained]}
  - {name: trained, about: L, paper: q, supervised: true, rows: [labels]}
test:
  - {name: D, about: d, sources: [{folder: d}]}
  - {name: E, about: e, sources: [{folder: e}]}
pools: {both: [D, E]}
edges_ml: [1, 10]
aims:
  - {text: mean, data: D, bound: 0.5}
  - {text: lowest, data: D, statistic: lowest, bound: 0.5}
  - {text: errors, data: D, metric: false_positive_ml, statistic: median, bound: 2, below: true}
"""
BASE = {"a": 0.4, "b": 0.5, "c": 0.6, "d": 0.7, "e": 0.8}


def lines_of(dice: dict[str, float], **more: float) -> list[dict[str, object]]:
    """Lines of a table, one per scan."""
    return [
        {"subject": name, "region": "whole", "dice": value, "fingerprint": "f", **more}
        for name, value in dice.items()
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A comparison of four rows that are measured and one that is not."""
    (tmp_path / "comparison.yaml").write_text(DEFINITION)
    counts = {"lesions_1_to_10_ml": 2, "found_1_to_10_ml": 1, "false_positive_ml": 3.0}
    counts["auprc"] = 0.5
    tables = {
        ("base", "own"): lines_of(BASE, **counts),
        ("better", "own"): lines_of({name: value + 0.1 for name, value in BASE.items()}, auprc=0.4),
        ("worse", "own"): lines_of({name: value - 0.2 for name, value in BASE.items()}),
        ("worse", "common"): lines_of({name: BASE[name] - 0.1 for name in "abcde"}),
        ("labels", "own"): lines_of({"a": 0.1, "b": 0.9, "c": 0.6, "d": 0.7, "e": 0.8}),
    }
    for (row, decision), lines in tables.items():
        replace_lines(tmp_path, (row, decision, "D"), lines, [1, 10])
    return tmp_path


def test_only_common_scans_are_compared_and_it_is_said() -> None:
    first = {("D", "a"): 0.5, ("D", "b"): 0.7, ("D", "only"): 1.0}
    second = {("D", "a"): 0.4, ("D", "b"): 0.2, ("E", "only"): 0.0}
    one = paired(first, second)
    assert one is not None
    assert one.difference.estimate == pytest.approx((0.1 + 0.5) / 2)
    assert (one.scans, one.left_out) == (2, 2)
    assert change(one).endswith("of 2 common scans")
    assert paired(first, {}) is None


def test_a_single_scan_has_no_interval_and_no_verdict() -> None:
    one = paired({("D", "a"): 0.9}, {("D", "a"): 0.1})
    assert one is not None
    assert one.sign == 0
    assert change(one) == "+0.800"


def test_a_difference_is_bold_where_zero_lies_outside() -> None:
    scans = [("D", name) for name in "abcdef"]
    apart = paired(dict.fromkeys(scans, 0.5), {s: 0.1 * n for n, s in enumerate(scans, -6)})
    luck = paired({s: float(n % 2) for n, s in enumerate(scans)}, dict.fromkeys(scans, 0.5))
    assert apart is not None
    assert luck is not None
    assert (apart.sign, luck.sign) == (1, 0)
    assert change(apart).startswith("**+")
    assert "**" not in change(luck)


def test_few_scans_that_agree_are_no_finding() -> None:
    first = {("D", name): 0.9 for name in "abcd"}
    one = paired(first, dict.fromkeys(first, 0.1))
    assert one is not None
    assert one.difference.lower > 0
    assert one.sign == 0


def test_lesions_of_a_class_add_up_over_scans(folder: Path) -> None:
    scores = Scores.of(folder)
    assert lesions_by_volume(scores, "base", ["D"], [1, 10]) == [(0, 0), (10, 5), (0, 0)]


def test_pools_hold_the_scans_of_their_sets(folder: Path) -> None:
    replace_lines(folder, ("base", "own", "E"), lines_of({"a": 0.0}), [1, 10])
    scores = Scores.of(folder)
    assert len(scores.values("base", "dice", ["D", "E"])) == 6
    assert scores.values("base", "dice", ["E"]) == {("E", "a"): 0.0}


def test_the_sentences_say_who_is_above_and_what_the_decision_does(folder: Path) -> None:
    definition = Definition.load(folder)
    said = list(findings_of(definition, Scores.of(folder)))
    own, common, moved, ranked, labels, small = said
    assert "1 of 2 networks trained without labels has a higher mean Dice" in own
    assert "1 are significantly above and 1 below zero" in own
    assert "The best is `better`: +0.100 (" in own
    assert "0 of 1 networks" in common
    assert "raises the mean Dice of 1 of 1 networks; the mean change is +0.100" in moved
    assert "0 of 1 networks trained without labels rank voxels better than `base`" in ranked
    assert "0 are significantly above and 1 below zero" in ranked
    assert "under 10 ml: `base` finds 5 of 10 and marks 3 ml per scan" in small
    assert "`labels`, which is supervised, cannot be distinguished from `base` (" in labels


def test_lesions_found_are_compared_on_the_same_scans_alone(folder: Path) -> None:
    counts = {"lesions_1_to_10_ml": 2, "found_1_to_10_ml": 2, "false_positive_ml": 9.0}
    one = {"b": BASE["b"]}
    replace_lines(folder, ("better", "own", "D"), lines_of(one, **counts), [1, 10])
    *_, small = findings_of(Definition.load(folder), Scores.of(folder))
    assert "`base`, which finds the most, 5 of 10" in small


def test_aims_are_compared_with_what_was_reached(folder: Path) -> None:
    definition = Definition.load(folder)
    cells = list(aims_of(definition, Scores.of(folder)))
    assert cells == [
        ("mean", "≥ 0.5", "0.6", "0.6", "0.7 (`better`)", "yes"),
        ("lowest", "≥ 0.5", "0.4", "0.4", "0.5 (`better`)", "no"),
        ("errors", "≤ 2", "3", "3", "–", "no"),
    ]
    assert not reached(definition.aims[2], float("nan"))


def test_a_figure_that_changed_changes_the_page(folder: Path) -> None:
    definition = Definition.load(folder)
    before = section(folder, definition)
    assert "measured yet: `untrained`" in before
    assert "**−0.200 (−0.20 to −0.20)**" in before
    path = folder / "scans.tsv"
    path.write_text(path.read_text().replace("\t0.7\t", "\t0.8\t"))
    assert section(folder, definition) != before


def test_the_page_says_what_the_tables_say() -> None:
    definition = Definition.load(FOLDER)
    made = made_section((FOLDER / "README.md").read_text(encoding="utf-8"), BEGIN)
    assert made == section(FOLDER, definition), (
        "the page is not made from the TSVs: run `anomri compare` again"
    )


def test_the_table_of_figures_and_its_page_hold_every_row(folder: Path) -> None:
    definition = Definition.load(folder)
    write_page(folder, definition)
    lines = {
        (line["row"], line["decision"]): line
        for line in read_tsv(folder / "figures.tsv")
        if line["data"] == "D"
    }
    assert float(lines["better", "own"]["difference"]) == pytest.approx(0.1)
    assert lines["worse", "common"]["common_scans"] == "5"
    assert lines["base", "own"]["difference"] == "n/a"
    assert (lines["base", "own"]["lowest"], lines["base", "own"]["lowest_scan"]) == ("0.4", "a")
    page = write_html_page(folder)
    assert page is not None
    html = page.read_text(encoding="utf-8")
    assert "D: Dice of each scan" in html
    assert html.count("<circle") == 4 * 5
    assert "both: Dice of each scan" not in html
    assert "+0.100" not in html
    assert "0.100 (0.10 to 0.10)" in html
