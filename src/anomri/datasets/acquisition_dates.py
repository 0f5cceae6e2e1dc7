"""The day on which a scan was acquired, from DICOM headers or a BIDS ``scans.tsv``.

Dates serve to compute intervals and are never written. Dates that were shifted to anonymise a data
set keep their intervals, if all dates of a subject were shifted alike.
"""

from __future__ import annotations

import logging
import re
from datetime import date
from pathlib import Path

from anomri.errors import DamagedFile
from anomri.files import read_tsv
from anomri.scan import ScanFiles

log = logging.getLogger(__name__)

DICOM_TAGS = ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")


def acquisition_date(files: ScanFiles) -> date | None:
    """Return the day on which a scan was acquired; None where nothing tells.

    Args:
        files: of the scan, as found on disk.
    """
    for slices in files.slices.values():
        return _of_slice(slices[0]) if slices else None
    return next(filter(None, map(_of_bids_file, files.contrasts.values())), None)


def parse_date(text: str) -> date | None:
    """Return the day at the start of a date or time in ISO 8601 or DICOM format.

    >>> parse_date("2024-03-01T12:00:00"), parse_date("20240301"), parse_date("n/a")
    (datetime.date(2024, 3, 1), datetime.date(2024, 3, 1), None)
    """
    parts = re.match(r"(\d{4})-?(\d\d)-?(\d\d)", text.strip())
    try:
        return date(*(int(part) for part in parts.groups())) if parts else None
    except ValueError:
        return None


def _of_slice(path: Path) -> date | None:
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*DICOM_TAGS])
    except Exception:  # a damaged file is reported where its image is read
        return None
    return next(filter(None, (parse_date(str(header.get(tag) or "")) for tag in DICOM_TAGS)), None)


def _of_bids_file(path: Path) -> date | None:
    """Look a file up in the ``scans.tsv`` of its subject or session."""
    folder = path.parent.parent
    for table in sorted(folder.glob("sub-*_scans.tsv")):
        for row in _rows(table):
            if Path(row.get("filename", "")).name == path.name:
                return parse_date(row.get("acq_time", ""))
    return None


def _rows(table: Path) -> list[dict[str, str]]:
    """Return the rows of a ``scans.tsv``; none, with a warning, where it cannot be read."""
    try:
        return read_tsv(table, next_step="correct the table, or give --dates")
    except DamagedFile as error:
        log.warning("no dates: %s", error)
        return []
