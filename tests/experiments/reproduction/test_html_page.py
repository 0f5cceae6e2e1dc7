"""The HTML page of a paper's rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anomri.experiments.reproduction import write_html_page
from anomri.files import write_tsv


def page_of(folder: Path) -> str:
    page = write_html_page(folder)
    assert page == folder / "report.html"
    return page.read_text("utf-8")


def words_of(page: str) -> str:
    text = re.sub(r"<style>.*?</style>|<script.*?</script>", " ", page, flags=re.S)
    return " ".join(re.sub("<[^>]+>", " ", text).split())


def test_other_folders_have_no_such_page(tmp_path: Path) -> None:
    assert write_html_page(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("measured", [True, False])
def test_a_paper_has_a_page_of_its_own(tmp_path: Path, measured: bool) -> None:
    write_tsv(tmp_path / "published.tsv", ("row", "quantity", "value"), [("vae", "dice", 0.41)])
    if measured:
        columns = ("row", "metric", "mean", "commit", "anomri", "seed", "weights_sha256")
        rows = [("vae", name, 0.5, "abc", "0.1", 0, "f00") for name in ("dice", "auprc")]
        write_tsv(tmp_path / "measured.tsv", columns, rows)
    text = page_of(tmp_path)
    assert "0.410" in text
    assert ("No row has been measured yet" in text) != measured
    assert text.count("f00") == 2 * measured  # once shown, once to sort by


def test_measured_rows_are_summed_up_first(tmp_path: Path) -> None:
    write_tsv(tmp_path / "published.tsv", ("row", "value"), [("a", 0.5)])
    columns = ("row", "threshold", "metric", "mean", "lower", "upper", "n")
    rows = [("a", "robust", "dice", 0.5, 0.4, 0.6, 8), ("a", "robust", "hd95_mm", 7, 7, 7, 8)]
    write_tsv(tmp_path / "measured.tsv", columns, rows)
    text = words_of(page_of(tmp_path))
    assert "0.500 (0.400 to 0.600) 7.0" in text
    assert "The same in all rows" not in text  # of one row
    assert "AUPRC" not in text


def test_what_all_rows_share_is_said_once(tmp_path: Path) -> None:
    write_tsv(tmp_path / "published.tsv", ("row", "value"), [("a", 0.5)])
    columns = ("row", "data", "region", "metric", "mean", "lower", "upper", "n")
    rows = [
        ("a", "BraTS", "whole", "dice", 0.5, 0.4, 0.6, 8),
        ("b", "BraTS", "core", "dice", 0.3, 0.2, 0.4, 8),
    ]
    write_tsv(tmp_path / "measured.tsv", columns, rows)
    text = words_of(page_of(tmp_path))
    assert "The same in all rows: data BraTS; scans 8." in text
    headline = text.partition("The same in all rows")[0].partition("Measured")[2]
    assert "BraTS" not in headline
    assert "core" in headline
