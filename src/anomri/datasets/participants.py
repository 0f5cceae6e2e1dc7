"""``participants.tsv``: who is healthy, where the data set says so."""

from __future__ import annotations

import codecs
import csv
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

# Columns that are looked at, in this order.
COLUMNS = ("healthy", "group", "diagnosis")
IDENTIFIERS = ("participant_id", "participant", "subject_id", "subject")
SEPARATORS = ("\t", ";", ",")
NAMED = 5
YES = frozenset({"true", "yes", "1", "control", "controls", "hc", "cn", "healthy", "con"})
NO = frozenset({"false", "no", "0", "patient", "patients", "glioma", "tumor", "tumour", "ms"})


def without_prefix(name: str) -> str:
    """Subject name without BIDS's ``sub-``.

    >>> without_prefix("sub-01")
    '01'
    """
    return name.removeprefix("sub-")


def read_healthy(table: Path) -> Participants:
    """Read what the table says of its participants; nobody where there is no such table.

    Tables that other programs saved are read too: UTF-16 and Latin-1, commas and semicolons in
    place of tabs, spaces around cells, column names in any case.

    Args:
        table: a ``participants.tsv``; columns ``healthy``, ``group`` or ``diagnosis`` are read.
    """
    if not table.is_file():
        return Participants({})
    header, *lines = _decoded(table.read_bytes()).splitlines() or [""]
    mark = next((mark for mark in SEPARATORS if mark in header), "\t")
    columns = [name.strip().lower() for name in _cells(header, mark)]
    rows = [dict(zip(columns, _cells(line, mark), strict=False)) for line in lines if line.strip()]
    if not any(column in columns for column in COLUMNS):
        return Participants({})
    said: dict[str, set[bool | None]] = {}
    for row in rows:
        said.setdefault(_name(row), set()).add(_healthy(row))
    said.pop("", None)
    # Rows that contradict each other say nothing.
    entries = {name: words.pop() if len(words) == 1 else None for name, words in said.items()}
    return Participants(entries)


class Participants:
    """What a table says of its participants.

    Args:
        entries: name without ``sub-`` to whether the participant is healthy; None where the
            table's word is not known.
    """

    def __init__(self, entries: Mapping[str, bool | None]) -> None:
        self._entries = dict(entries)
        self._loosely: dict[str, list[str]] = {}
        for name in entries:
            self._loosely.setdefault(_loose(name), []).append(name)
        self._met: set[str] = set()
        self._unknown: dict[str, None] = {}

    def get(self, subject: str) -> bool | None:
        """Return what is said of a subject; a table may have lost zeros, as spreadsheets do."""
        name = subject if subject in self._entries else None
        alike = self._loosely.get(_loose(subject), [])
        if name is None and len(alike) == 1:
            name = alike[0]
        if name is None:
            self._unknown[subject] = None
            return None
        self._met.add(name)
        return self._entries[name]

    def unclear(self, subject: str) -> str:
        """Say why a table that says who is healthy does not say it of a subject; empty if it does.

        Empty too where there is no such table.
        """
        if not self._entries or self.get(subject) is not None:
            return ""
        if subject in self._unknown:
            return "participants.tsv has no row for the subject"
        return "its rows in participants.tsv contradict each other, or hold unknown words"

    def warn(self, table: str) -> None:
        """Name the rows that match nobody and the subjects without a row, once all were asked."""
        if not self._entries:
            return
        if rows := [name for name in self._entries if name not in self._met]:
            log.warning("%s: rows that match no subject: %s", table, _some(rows))
        if self._unknown:
            log.warning("%s: no row for the subjects %s", table, _some(list(self._unknown)))


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _decoded(content: bytes) -> str:
    """Decode a table by its byte order mark, as UTF-8, or as what is left: Windows' Latin."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _name(row: Mapping[str, str]) -> str:
    """Return whose row it is, without ``sub-``."""
    said = next((row[column] for column in IDENTIFIERS if row.get(column)), "")
    name = said.strip()
    return name[4:] if name.lower().startswith("sub-") else name


def _loose(name: str) -> str:
    """Return a name without what programs lose: case, signs, and zeros before numbers."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", "", name.casefold()))


def _cells(line: str, mark: str = "\t") -> list[str]:
    r"""Part one line at its tabs, but for those in double quotes; a lone quote is a letter.

    >>> _cells('01\t"a\tb"\tcontrol'), _cells('02\t5" tall\tms')
    (['01', 'a\tb', 'control'], ['02', '5" tall', 'ms'])
    """
    if line.count('"') % 2 or len(line) > csv.field_size_limit():  # csv refuses longer cells
        return line.split(mark)
    return next(csv.reader([line], delimiter=mark), [])


def _healthy(row: dict[str, str]) -> bool | None:
    for column in COLUMNS:
        word = (row.get(column) or "").strip().lower()
        if word in YES:
            return True
        if word in NO:
            return False
    return None
