"""The HTML page of a comparison: the Dice of every scan as a dot, and the tables of means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anomri.experiments.comparison.definition import OWN
from anomri.experiments.comparison.formatting import MINUS
from anomri.experiments.comparison.measurement import WHOLE
from anomri.files import (
    COMPARISON_FIGURES,
    COMPARISON_SCANS,
    NOTHING,
    REPORT,
    read_tsv,
    remove_stale_drafts,
)
from anomri.reporting import Axis, Chart, Look, Series, as_number, write_html

NAMED, STRIP, FRAME = 150, 24, 60  # pixels: names beside a strip, its height, what is around all
PACKAGE = "anomri.experiments.comparison"
ROOM = 0.8  # strips above the first one, for the name of the line

Line = Mapping[str, str]


def write_html_page(folder: Path) -> Path | None:
    """Write ``report.html`` of a comparison; None where the folder does not hold one.

    Args:
        folder: with ``figures.tsv`` and ``scans.tsv``.
    """
    if not (folder / COMPARISON_FIGURES).is_file():
        return None
    remove_stale_drafts(folder)
    return write_html(folder / REPORT, "comparison.html.j2", package=PACKAGE, **_contents(folder))


def _contents(folder: Path) -> dict[str, Any]:
    """Return everything that the page shows."""
    figures, scans = read_tsv(folder / COMPARISON_FIGURES), read_tsv(folder / COMPARISON_SCANS)
    names = list(dict.fromkeys(line["data"] for line in figures))
    return {
        "name": folder.name,
        "sets": [
            {
                "name": name,
                "chart": _strips(name, [line for line in figures if line["data"] == name], scans),
                "tables": _tables([line for line in figures if line["data"] == name]),
            }
            for name in names
        ],
    }


def _tables(figures: Sequence[Line]) -> dict[str, list[dict[str, str]]]:
    """Return one table per region: a row for each row and decision."""
    tables: dict[str, list[dict[str, str]]] = {}
    for line in figures:
        cells = {
            **{"row": line["row"], "decision": line["decision"], "scans": line["scans"]},
            "dice": _span(line, "dice", "lower", "upper"),
            "lowest": line["lowest"],
            f"minus_{line['compared_with']}": _span(
                line, "difference", "difference_lower", "difference_upper"
            ),
        }
        tables.setdefault(line["region"], []).append(cells)
    return tables


def _strips(name: str, figures: Sequence[Line], scans: Sequence[Line]) -> Chart | None:
    """Draw a line of dots per row, a dot per scan; None where the set is a pool of others."""
    rows = [f["row"] for f in figures if (f["region"], f["decision"]) == (WHOLE, OWN)]
    dots = {row: _dots(row, name, scans) for row in rows}
    if not any(dots.values()):
        return None
    series, ticks = [], []
    for place, row in enumerate(reversed(rows)):
        points = tuple((dice, place + 0.5) for dice in dots[row])
        look: Look = "truth" if row == _base(figures) else "found"
        series.append(Series("", points, look, "dots"))
        ticks.append((place + 0.5, row))
    return Chart(
        f"{name}: Dice of each scan",
        f"A dot per scan, the row's own decision; the line is the mean of {_base(figures)}.",
        Axis.share("Dice"),
        Axis("", 0, len(rows) + ROOM, tuple(ticks)),
        tuple(series),
        mark=_mark(figures),
        left=NAMED,
        height=round(FRAME + STRIP * (len(rows) + ROOM)),
    )


def _dots(row: str, name: str, scans: Sequence[Line]) -> list[float]:
    wanted = (row, OWN, name, WHOLE)
    cells = (
        as_number(line["dice"])
        for line in scans
        if (line["row"], line["decision"], line["data"], line["region"]) == wanted
    )
    return [dice for dice in cells if dice is not None]


def _base(figures: Sequence[Line]) -> str:
    """Name the row that the others of the whole lesion are compared with."""
    return next((f["compared_with"] for f in figures if f["region"] == WHOLE), "")


def _mark(figures: Sequence[Line]) -> tuple[float, str] | None:
    base = _base(figures)
    for line in figures:
        mean = as_number(line["dice"])
        if (line["row"], line["region"], line["decision"]) == (base, WHOLE, OWN) and mean:
            return mean, base
    return None


def _span(line: Line, *names: str) -> str:
    """Return an estimate with its interval, as the tables of evaluations have it."""
    mean, low, high = (as_number(line.get(name, NOTHING)) for name in names)
    if mean is None:
        return NOTHING
    text = f"{mean:.3f}" if low is None or high is None else f"{mean:.3f} ({low:.2f} to {high:.2f})"
    return text.replace("-", MINUS)
