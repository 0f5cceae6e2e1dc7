"""Tab-separated tables with one header line and ``n/a`` for missing values, as in BIDS.

Names in them come from file systems and headers: cells that a spreadsheet would evaluate as a
formula are escaped with an apostrophe.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from anomri.files.atomic import write_text
from anomri.files.data_dictionaries import write_dictionary
from anomri.files.documents import RUN_AGAIN, read_text

NOTHING = "n/a"
FORMULA = ("=", "+", "-", "@")  # first letters of a formula in a spreadsheet

Cell = str | float | int | None


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write tab-separated values; beside a table of results a dictionary of its columns, too."""
    lines = [columns, *([_plain(cell) for cell in row] for row in rows)]
    write_text(path, "".join("\t".join(line) + "\n" for line in lines))
    write_dictionary(path, columns)


def read_tsv(path: Path, *, next_step: str = RUN_AGAIN) -> list[dict[str, str]]:
    """Read tab-separated values as one mapping per row; empty if the file is missing.

    Args:
        path: the file.
        next_step: what to do if it is damaged, for the error.

    Raises:
        DamagedFile: the file is not UTF-8.
    """
    if not path.is_file():
        return []
    header, *lines = read_text(path, next_step=next_step).splitlines() or [""]
    columns = header.split("\t")
    rows = ([_unescaped(cell) for cell in line.split("\t")] for line in lines)
    return [dict(zip_longest(columns, row[: len(columns)], fillvalue=NOTHING)) for row in rows]


def _plain(cell: Cell) -> str:
    """Return the text of a cell: 6 digits, no tab or line break, formulas escaped."""
    if cell is None or cell == "":
        return NOTHING
    if isinstance(cell, float | np.floating):
        return f"{cell:.6g}"
    text = re.sub(r"\s+", " ", str(cell)).strip()
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _unescaped(text: str) -> str:
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA) else text


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
