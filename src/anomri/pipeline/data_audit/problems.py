"""Problems of a data set, and the table of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from pathlib import Path

from anomri.errors import GridMismatch, QualityRefused, ScanError
from anomri.files import AUDIT, write_tsv
from anomri.scan import Note, NoteKind, ScanFiles


class Severity(StrEnum):
    """Whether results can be trusted with it."""

    WRONG = "wrong"
    REMARK = "remark"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an audit found.

    Attributes:
        subject: name in the data set; untrusted text.
        label: BIDS prefix of the scan.
        severity: whether results can be trusted with it.
        check: what was checked.
        finding: what was found.
        next_step: what to do.
    """

    subject: str
    label: str
    severity: Severity
    check: str
    finding: str
    next_step: str


# The check, whether a scan with such a note is wrong, and what to do. Other notes are no problem.
_NOTES: dict[NoteKind, tuple[str, Severity, str]] = {
    NoteKind.IMPLAUSIBLE: ("plausibility", Severity.WRONG, "look at the image, and correct it"),
    NoteKind.TURNED_TRUTH: ("lesion_mask", Severity.WRONG, "look at the mask over its scan"),
    NoteKind.BRAIN_MASK: ("brain_mask", Severity.WRONG, "look at the mask over its scan"),
    NoteKind.VOXEL_SIZE: ("geometry", Severity.REMARK, "convert the DICOM files again"),
    NoteKind.GEOMETRY: ("geometry", Severity.REMARK, "convert the DICOM files again"),
    NoteKind.REALIGNED: ("geometry", Severity.REMARK, "register the contrasts beforehand"),
    NoteKind.FIELD_OF_VIEW: (
        "geometry",
        Severity.REMARK,
        "note that a part is not analysed",
    ),
    NoteKind.INTENSITIES: ("intensities", Severity.REMARK, "look at the image"),
    NoteKind.MISSING_FILE: ("files", Severity.REMARK, "choose between the files that are named"),
}


def problem_of_note(files: ScanFiles, note: Note) -> Problem | None:
    """Return the problem that a note is about; None for one that says how a scan was read."""
    if note.kind not in _NOTES:
        return None
    check, severity, step = _NOTES[note.kind]
    if note.kind is NoteKind.BRAIN_MASK and files.brain is None:
        severity = Severity.REMARK  # of the brain that was found, not of one of the data set
    return Problem(files.subject, files.label, severity, check, note.text, step)


def problem_of_error(files: ScanFiles, error: ScanError) -> Problem:
    """Return the problem that stopped the preparation of a scan."""
    check = "files"
    if isinstance(error, GridMismatch):
        masks = {"lesion_mask": files.truth, "brain_mask": files.brain}
        named = (name for name, path in masks.items() if path and path.name == error.file)
        check = next(named, "geometry")
    elif isinstance(error, QualityRefused):
        check = "quality"
    finding = f"{error.file}: {error.reason}"
    return Problem(files.subject, files.label, Severity.WRONG, check, finding, error.next_step)


def write_problems(out: Path, problems: Iterable[Problem]) -> None:
    """Write the table; its data dictionary comes with it."""
    names = [field.name for field in fields(Problem)]
    write_tsv(out / AUDIT, names, [astuple(problem) for problem in problems])
