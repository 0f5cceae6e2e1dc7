"""Tables and texts that appear on disk whole or not at all.

Tables are tab-separated with one header line; ``n/a`` stands where there is nothing, as in BIDS.
Names in them come from file systems and headers: a cell that a spreadsheet would run as a formula
is defused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import numpy as np

NOTHING = "n/a"
BYTES = "backslashreplace"  # of a file name that is no UTF-8, so that it costs no table
FORMULA = ("=", "+", "-", "@")  # how a spreadsheet knows a formula

Cell = str | float | int | None


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write tab-separated values."""
    lines = [columns, *([_plain(cell) for cell in row] for row in rows)]
    write_text(path, "".join("\t".join(line) + "\n" for line in lines))


def read_tsv(path: Path) -> list[dict[str, str]]:
    """Read tab-separated values as one mapping per row; none where there is no file.

    Raises:
        UnicodeDecodeError: it is no UTF-8, with or without the mark that spreadsheets begin with.
    """
    if not path.is_file():
        return []
    header, *lines = path.read_text(encoding="utf-8-sig").splitlines() or [""]
    columns = header.split("\t")
    rows = ([_undefused(cell) for cell in line.split("\t")] for line in lines)
    return [dict(zip_longest(columns, row[: len(columns)], fillvalue=NOTHING)) for row in rows]


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all, so that a kill leaves the old one or the new."""
    with finished(path) as stream:
        stream.write(text)


@contextmanager
def finished(path: Path) -> Iterator[TextIO]:
    """Yield a draft that takes the place of ``path`` when the block ends well, else vanishes.

    Its name is its own, so that processes that write one file at once do not meet. Who may read it
    is up to the user's umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex}")
    try:
        with draft.open("x", encoding="utf-8", errors=BYTES, newline="\n") as stream:
            yield stream
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _plain(cell: Cell) -> str:
    """Return the text of a cell: short numbers, no tab or line break, no formula."""
    if cell is None or cell == "":
        return NOTHING
    if isinstance(cell, float | np.floating):
        return f"{cell:.6g}"
    text = re.sub(r"\s+", " ", str(cell)).strip()
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _undefused(text: str) -> str:
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA) else text


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
