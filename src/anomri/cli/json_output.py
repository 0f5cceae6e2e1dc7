"""What commands print for programs, as JSON on standard output."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from anomri import pipeline
from anomri.batch import Outcome
from anomri.datasets import Found
from anomri.files import NOTHING, REPORT, SUMMARY, read_tsv

WORDS = ("subject", "label", "size_class", "notes")
"""Columns of tables that are text even where a cell looks like a number."""


def print_json(value: Any) -> None:
    """Print a value; numbers that are not finite are null."""
    typer.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False))


def scans_found(
    found: Found, contrasts: Sequence[str] = (), optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return the scans that were found, with their files, and what is not used and why.

    Args:
        found: scans of a source.
        contrasts: contrasts of the model.
        optional: contrasts of these that a scan may lack.
    """
    refused = {row.label: row for row in pipeline.refused(found, contrasts, optional)}
    return {
        "layout": found.layout,
        "scans": [
            {
                "label": files.label,
                "subject": files.subject,
                "session": files.session,
                "contrasts": {name: str(path) for name, path in files.contrasts.items()},
                "brain": str(files.brain) if files.brain else None,
                "truth": str(files.truth) if files.truth else None,
                "healthy": files.healthy,
                "refused": refused[files.label].reason if files.label in refused else None,
            }
            for files in found.scans
        ],
        "left_out": [asdict(row) for row in found.left_out],
        "skipped": [asdict(row) for row in found.skipped],
        "series": [asdict(row) for row in found.recognised],
    }


def evaluation(
    summary: Iterable[Mapping[str, Any]],
    outcome: Outcome,
    recall: Iterable[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """Return the summary of an evaluation, and the scans that were not evaluated.

    Args:
        summary: of all scans.
        outcome: of the batch.
        recall: rows of ``evaluation_sizes.tsv``; its numbers become numbers.
    """
    unused = [*outcome.failures, *outcome.left_out, *outcome.not_detected]
    return {
        "summary": [dict(row) for row in summary],
        "recall_by_size": [
            {name: _value(name, cell) for name, cell in row.items()} for row in recall
        ],
        "evaluated": outcome.done,
        "not_evaluated": [asdict(row) for row in unused],
    }


def batch_summary(outcome: Outcome, out: Path) -> dict[str, Any]:
    """Return the outcome of a batch, and what was found in each scan that is finished.

    Args:
        outcome: of the batch.
        out: folder of the results; without ``summary.tsv``, as of `prepare`, scans have no row.
    """
    finished = {*outcome.done, *outcome.unchanged}
    rows = [row for row in read_tsv(out / SUMMARY) if row.get("label") in finished]
    unused = [*outcome.failures, *outcome.left_out, *outcome.not_detected]
    return {
        "results": str(out),
        "report": str(out / REPORT) if (out / REPORT).is_file() else None,
        "done": outcome.done,
        "unchanged": outcome.unchanged,
        "not_used": [asdict(row) for row in unused],
        "scans": [{name: _value(name, cell) for name, cell in row.items()} for row in rows],
    }


def _value(column: str, cell: str) -> str | float | None:
    """Return a cell of a table as a number where its column holds numbers; None for n/a."""
    if cell == NOTHING:
        return None
    try:
        return cell if column in WORDS else float(cell)
    except ValueError:
        return cell


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float):  # NumPy's float64 is one
        return float(value) if math.isfinite(value) else None
    return value
