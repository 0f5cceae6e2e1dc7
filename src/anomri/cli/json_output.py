"""What commands print for programs, as JSON on standard output."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import typer

from anomri import pipeline
from anomri.batch import Outcome
from anomri.datasets import Found


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


def evaluation(summary: Iterable[Mapping[str, Any]], outcome: Outcome) -> dict[str, Any]:
    """Return the summary of an evaluation, and the scans that were not evaluated."""
    unused = [*outcome.failures, *outcome.left_out, *outcome.not_detected]
    return {
        "summary": [dict(row) for row in summary],
        "evaluated": outcome.done,
        "not_evaluated": [asdict(row) for row in unused],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float):  # NumPy's float64 is one
        return float(value) if math.isfinite(value) else None
    return value
