"""The HTML page of a comparison, made from the tables in the repository."""

from __future__ import annotations

import shutil
from pathlib import Path

from anomri.experiments.comparison import write_html_page
from anomri.files import read_tsv

RECIPES = Path(__file__).parents[3] / "recipes" / "comparison"


def test_every_scan_of_every_row_is_a_dot(tmp_path: Path) -> None:
    for name in ("figures.tsv", "scans.tsv"):
        shutil.copy(RECIPES / name, tmp_path / name)
    page = write_html_page(tmp_path)
    assert page is not None
    text = page.read_text("utf-8")
    figures, scans = read_tsv(tmp_path / "figures.tsv"), read_tsv(tmp_path / "scans.tsv")
    drawn = {
        (line["data"], line["row"])
        for line in figures
        if (line["region"], line["decision"]) == ("whole", "own")
    }
    dots = [
        line
        for line in scans
        if (line["data"], line["row"]) in drawn
        and (line["region"], line["decision"]) == ("whole", "own")
        and line["dice"] not in ("n/a", "nan")
    ]
    assert text.count("<circle") == len(dots) > 0
    assert all(f">{line['data']}</h2>" in text for line in figures)


def test_other_folders_have_no_such_page(tmp_path: Path) -> None:
    assert write_html_page(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
