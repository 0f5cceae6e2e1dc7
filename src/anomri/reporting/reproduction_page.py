"""What the page of a paper's rows says: the paper's figures and ours, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anomri.tsv import read_tsv

PUBLISHED = "published.tsv"
MEASURED = "measured.tsv"
QUIET = ("commit", "anomri", "seed", "weights_sha256")
"""Columns that say where a row comes from, shown once at the end."""


def reproduction_contents(folder: Path) -> dict[str, Any]:
    """Gather everything that the page of a reproduction shows.

    Args:
        folder: of a paper, with ``published.tsv`` and, once run, ``measured.tsv``.
    """
    measured = read_tsv(folder / MEASURED)
    shown = [{key: value for key, value in row.items() if key not in QUIET} for row in measured]
    origins = [{key: row.get(key, "") for key in ("row", *QUIET)} for row in measured]
    return {
        "name": folder.name,
        "published": read_tsv(folder / PUBLISHED),
        "measured": shown,
        "origins": [dict(pairs) for pairs in dict.fromkeys(tuple(o.items()) for o in origins)],
    }
