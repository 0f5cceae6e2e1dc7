"""``participants.tsv``: who is healthy, where the data set says so."""

from __future__ import annotations

import csv
from pathlib import Path

# Columns that are looked at, in this order.
COLUMNS = ("healthy", "group", "diagnosis")
YES = frozenset({"true", "yes", "1", "control", "controls", "hc", "cn", "healthy", "con"})
NO = frozenset({"false", "no", "0", "patient", "patients", "glioma", "tumor", "tumour", "ms"})


def without_prefix(name: str) -> str:
    """Subject name without BIDS's ``sub-``.

    >>> without_prefix("sub-01")
    '01'
    """
    return name.removeprefix("sub-")


def read_healthy(table: Path) -> dict[str, bool]:
    """Read what the table says of its participants; empty when there is no such table.

    Args:
        table: a ``participants.tsv``; columns ``healthy``, ``group`` or ``diagnosis`` are read.

    Returns:
        Subject, without ``sub-``, to whether it is healthy; only those whose entry is a word
        that is known.
    """
    if not table.is_file():
        return {}
    header, *lines = table.read_text("utf-8-sig", errors="replace").splitlines() or [""]
    columns = _cells(header)
    rows = [dict(zip(columns, _cells(line), strict=False)) for line in lines]
    said = {without_prefix(row.get("participant_id") or ""): _healthy(row) for row in rows}
    return {subject: healthy for subject, healthy in said.items() if healthy is not None}


def _cells(line: str) -> list[str]:
    r"""Part one line at its tabs, but for those in double quotes; a lone quote is a letter.

    >>> _cells('01\t"a\tb"\tcontrol'), _cells('02\t5" tall\tms')
    (['01', 'a\tb', 'control'], ['02', '5" tall', 'ms'])
    """
    if line.count('"') % 2 or len(line) > csv.field_size_limit():  # csv refuses longer cells
        return line.split("\t")
    return next(csv.reader([line], delimiter="\t"), [])


def _healthy(row: dict[str, str]) -> bool | None:
    for column in COLUMNS:
        word = (row.get(column) or "").strip().lower()
        if word in YES:
            return True
        if word in NO:
            return False
    return None
