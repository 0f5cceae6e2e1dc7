"""Health status of participants from ``participants.tsv``."""

from __future__ import annotations

import codecs
import csv
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from anomri.datasets.shown_names import shown_names
from anomri.files import PARTICIPANTS

log = logging.getLogger(__name__)

# Columns with the health status, in order of preference.
COLUMNS = ("healthy", "group", "diagnosis")
IDENTIFIERS = ("participant_id", "participant", "subject_id", "subject")
SEPARATORS = ("\t", ";", ",")
YES = frozenset({"control", "controls", "hc", "cn", "healthy", "con"})
NO = frozenset({"patient", "patients", "glioma", "tumor", "tumour", "ms"})
# Answers to "healthy?" alone: as a group or a diagnosis, 1 or "yes" usually stands for patients.
TRUE, FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


def without_prefix(name: str) -> str:
    """Return a subject's name without ``sub-``.

    >>> without_prefix("sub-01")
    '01'
    """
    return name.removeprefix("sub-")


def read_healthy(table: Path) -> Participants:
    """Read the health status of participants; none if the file is missing.

    Files saved by other programs are read too: UTF-16 and Latin-1, commas or semicolons instead of
    tabs, spaces around cells, column names in upper or lower case.

    Args:
        table: a ``participants.tsv`` with a column ``healthy``, ``group`` or ``diagnosis``.
    """
    if not table.is_file():
        return Participants({})
    header, *lines = _decoded(table.read_bytes()).splitlines() or [""]
    separator = next((separator for separator in SEPARATORS if separator in header), "\t")
    columns = [name.strip().lower() for name in _cells(header, separator)]
    cells = (_cells(line, separator) for line in lines if line.strip())
    rows = [dict(zip(columns, row, strict=False)) for row in cells]
    if not any(column in columns for column in COLUMNS):
        return Participants({})
    values: dict[str, set[bool | None]] = {}
    for row in rows:
        values.setdefault(_name(row), set()).add(_healthy(row))
    values.pop("", None)
    # Contradictory rows count as unknown.
    entries = {name: found.pop() if len(found) == 1 else None for name, found in values.items()}
    return Participants(entries)


class Participants:
    """Health status of participants.

    Args:
        entries: whether a participant is healthy, by name without ``sub-``; None if unknown.
    """

    def __init__(self, entries: Mapping[str, bool | None]) -> None:
        self._entries = dict(entries)
        self._by_loose_name: dict[str, list[str]] = {}
        for name in entries:
            self._by_loose_name.setdefault(_loose(name), []).append(name)
        self._matched: set[str] = set()
        self._unknown: dict[str, None] = {}

    def get(self, subject: str) -> bool | None:
        """Return whether a subject is healthy; leading zeros lost by spreadsheets are tolerated."""
        name = subject if subject in self._entries else None
        similar = self._by_loose_name.get(_loose(subject), [])
        if name is None and len(similar) == 1:
            name = similar[0]
        if name is None:
            self._unknown[subject] = None
            return None
        self._matched.add(name)
        return self._entries[name]

    def unclear(self, subject: str) -> str:
        """Return why the health status of a subject is unknown; empty if it is known.

        Empty too without a table.
        """
        if not self._entries or self.get(subject) is not None:
            return ""
        if subject in self._unknown:
            return f"{PARTICIPANTS} has no row for the subject"
        return f"its rows in {PARTICIPANTS} contradict each other or have unknown values"

    def warn(self, table: str) -> None:
        """Log rows without a subject and subjects without a row, after all were looked up."""
        if not self._entries:
            return
        if rows := [name for name in self._entries if name not in self._matched]:
            log.warning("%s: rows that match no subject: %s", table, shown_names(rows))
        if self._unknown:
            log.warning("%s: no row for the subjects %s", table, shown_names(list(self._unknown)))


def _decoded(content: bytes) -> str:
    """Decode a table by its byte order mark, as UTF-8, or as Windows-1252."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _name(row: Mapping[str, str]) -> str:
    """Return the participant of a row, without ``sub-``."""
    name = next((row[column] for column in IDENTIFIERS if row.get(column)), "").strip()
    return name[4:] if name.lower().startswith("sub-") else name


def _loose(name: str) -> str:
    """Return a name in lower case, without punctuation and leading zeros."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", "", name.casefold()))


def _cells(line: str, separator: str = "\t") -> list[str]:
    r"""Split a line at separators outside double quotes; an unpaired quote is literal.

    >>> _cells('01\t"a\tb"\tcontrol'), _cells('02\t5" tall\tms')
    (['01', 'a\tb', 'control'], ['02', '5" tall', 'ms'])
    """
    if line.count('"') % 2 or len(line) > csv.field_size_limit():  # csv refuses longer cells
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator), [])


def _healthy(row: dict[str, str]) -> bool | None:
    for column in COLUMNS:
        value = (row.get(column) or "").strip().lower()
        answers = column == "healthy"
        if value in YES or (answers and value in TRUE):
            return True
        if value in NO or (answers and value in FALSE):
            return False
    return None
