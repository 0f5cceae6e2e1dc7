"""The HTML page of a reproduction: the paper's figures and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anomri.files import MEASURED, NOTHING, PUBLISHED, REPORT, read_tsv, remove_stale_drafts
from anomri.reporting import cell, write_html

PACKAGE = "anomri.experiments.reproduction"
QUIET = ("commit", "anomri", "seed", "weights_sha256")
"""Columns that say where a row comes from, shown once at the end."""
WHAT = ("row", "size", "data", "contrasts", "region", "threshold")
"""Columns that say what was measured; a line of the page's first table for each."""
HEADLINES = ("dice", "auprc", "oracle_dice", "sensitivity", "precision", "hd95_mm")
"""Metrics that this table shows; the others follow, folded."""


def write_html_page(folder: Path) -> Path | None:
    """Write ``report.html`` of a reproduction; None where the folder does not hold one.

    Args:
        folder: of a paper, with ``published.tsv`` and, once run, ``measured.tsv``.
    """
    if not (folder / PUBLISHED).is_file():
        return None
    remove_stale_drafts(folder)
    return write_html(folder / REPORT, "reproduction.html.j2", package=PACKAGE, **_contents(folder))


def _contents(folder: Path) -> dict[str, Any]:
    """Return everything that the page shows."""
    measured = read_tsv(folder / MEASURED)
    headlines = _headlines(measured)
    same = _same(headlines)
    shown = [{key: value for key, value in row.items() if key not in QUIET} for row in measured]
    origins = [{key: row.get(key, "") for key in ("row", *QUIET)} for row in measured]
    return {
        "name": folder.name,
        "published": read_tsv(folder / PUBLISHED),
        "headlines": [
            {name: text for name, text in line.items() if name not in same} for line in headlines
        ],
        "same": same,
        "measured": shown,
        "origins": [dict(pairs) for pairs in dict.fromkeys(tuple(o.items()) for o in origins)],
    }


def _headlines(measured: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return one line per measurement: its headline metrics as ``mean (lower to upper)``."""
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for row in measured:
        what = {name: row[name] for name in WHAT if name in row}
        empty = {**what, "n": row.get("n", NOTHING), **dict.fromkeys(HEADLINES, NOTHING)}
        line = lines.setdefault(tuple(what.values()), empty)
        if row.get("metric") in HEADLINES:
            line[row["metric"]] = _interval(row)
    return _without(list(lines.values()), {NOTHING}, HEADLINES)


def _without(
    lines: Sequence[dict[str, str]], texts: set[str], columns: Sequence[str]
) -> list[dict[str, str]]:
    """Leave those of the columns out that hold nothing but one of the texts."""
    out = {name for name in columns if {line.get(name, NOTHING) for line in lines} <= texts}
    return [{name: text for name, text in line.items() if name not in out} for line in lines]


def _same(lines: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the columns that say the same of every line, where there are several."""
    if len(lines) < 2:
        return {}
    first = lines[0]
    names = [name for name in (*WHAT, "n") if name in first and name != "row"]
    return {name: first[name] for name in names if {line[name] for line in lines} == {first[name]}}


def _interval(row: Mapping[str, str]) -> str:
    mean, low, high = (
        cell(row.get(part, NOTHING), part, row["metric"]) for part in ("mean", "lower", "upper")
    )
    return mean if low == high else f"{mean} ({low} to {high})"
