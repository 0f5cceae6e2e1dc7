"""What is sent back for a study: the objects of its detection, or a picture of the refusal."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anomri.batch import UNEXPECTED
from anomri.batch import Outcome as BatchOutcome
from anomri.datasets import (
    Found,
    Refusal,
    SiteRules,
    find_studies,
    require_highdicom,
    write_refusal_picture,
)
from anomri.detector import Detector
from anomri.errors import QualityRefused, ScanError
from anomri.files import REFUSAL_PICTURE, anat_folder
from anomri.pipeline.detection import detect
from anomri.pipeline.orthanc_service.journal import Outcome
from anomri.pipeline.orthanc_service.responder import Answer
from anomri.pipeline.orthanc_service.study_folder import StudyFolder
from anomri.pipeline.scan_selection import refused
from anomri.reporting import read_record
from anomri.scan import RESEARCH_USE, NoteKind

REFUSAL_FILE = "refusal_sc.dcm"
MAX_REASONS = 12
SEND_AGAIN = "send the series that is missing, or correct the site's rules (series.yaml)"


@dataclass(frozen=True, slots=True)
class DetectionResponder:
    """Answers with what the ordinary detection finds.

    Attributes:
        detector: the model.
        rules: of the site.
        dicom: kinds of objects to send, of :data:`anomri.datasets.DICOM_OBJECTS`.

    Raises:
        MissingPiece: highdicom is not installed; every answer needs it.
    """

    detector: Detector
    rules: SiteRules
    dicom: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that answers can be written."""
        require_highdicom()

    def wants(self, tags: Mapping[str, str]) -> bool:
        """Whether a series with these tags makes its study one to look at."""
        return self.rules.wants(tags)

    def detect(self, study: StudyFolder, answer: Path) -> Answer:
        """Detect lesions and write their objects, or a note on what prevents it."""
        found = find_studies(study.images, self.rules)
        if fault := self._fault(found):
            return self.refuse(study, answer, *fault, ScanError.exit_code)
        outcome = detect(found, self.detector, study.results, dicom=self.dicom)
        if outcome.failures:
            failure, code = outcome.failures[0], outcome.exit_code
            return self.refuse(study, answer, _told(failure.reason), failure.next_step, code)
        label = found.scans[0].label
        objects = sorted(anat_folder(study.results, label).glob("*.dcm"))
        if not objects:
            return self.refuse(study, answer, *self._no_object(study, label), ScanError.exit_code)
        for path in objects:
            shutil.copyfile(path, answer / path.name)
        return Answer(Outcome.DONE, 0, _summary(outcome))

    def refuse(
        self, study: StudyFolder, answer: Path, reason: str, next_step: str, exit_code: int
    ) -> Answer:
        """Write a picture of the reason, with what a quality check objected to."""
        picture, step = _pictured(study.results, next_step)
        identity = hashlib.sha256(f"{reason}\n{step}".encode()).hexdigest()
        refusal = Refusal(reason, step, RESEARCH_USE, identity, picture)
        source = min(study.images.glob("*.dcm"))
        try:
            write_refusal_picture(refusal, source, answer / REFUSAL_FILE)
        except ScanError as error:
            reason = f"{reason}; no note could be written ({error.reason})"
        kind = "refused by a quality check" if exit_code == QualityRefused.exit_code else "refused"
        return Answer(Outcome.REFUSED, exit_code, f"{kind}: {reason}")

    def _fault(self, found: Found) -> tuple[str, str] | None:
        """Return reason and next step where the images are not one scan that can be used."""
        scans = len(found.scans) + len(found.left_out)
        if scans > 1:
            return (
                f"expected the images of one patient, got those of {scans}",
                "separate the patients' images, and send them again",
            )
        series = _series(found)
        if not found.scans:
            return f"expected a series that can be used, got none ({series})", SEND_AGAIN
        lacking = refused(found, self.detector.contrasts, self.detector.optional)
        return (f"{lacking[0].reason} ({series})", SEND_AGAIN) if lacking else None

    def _no_object(self, study: StudyFolder, label: str) -> tuple[str, str]:
        record = read_record(study.results, label)
        notes = record.notes if record else ()
        texts = [note.text for note in notes if note.kind is NoteKind.NO_DICOM]
        reason = f"expected a result that DICOM can hold, got {'; '.join(texts) or 'none'}"
        return reason, "convert the series to NIfTI, and run `anomri detect` on that"


def _told(reason: str) -> str:
    """Return a reason without the text of a library's error, which may hold tags of the patient."""
    return reason.partition(":")[0] if reason.startswith(UNEXPECTED) else reason


def _series(found: Found) -> str:
    """Say what each series was taken for."""
    rows = [
        f"series {row.number}: {row.taken_for}"
        + ("" if row.taken_for in _contrasts(found) else f", {row.reason}")
        for row in found.recognised
    ]
    more = [f"{len(rows) - MAX_REASONS} more"] if len(rows) > MAX_REASONS else []
    return "; ".join([*rows[:MAX_REASONS], *more]) or "no image"


def _contrasts(found: Found) -> set[str]:
    """Return the contrasts that are used."""
    return {name for files in found.scans for name in files.contrasts}


def _pictured(results: Path, next_step: str) -> tuple[bytes, str]:
    """Return the picture that a next step names, and the step without it."""
    for path in sorted(results.rglob(f"*_{REFUSAL_PICTURE}")):
        if (named := f"look at {path.name}, then ") in next_step:
            return path.read_bytes(), next_step.replace(named, "")
    return b"", next_step


def _summary(outcome: BatchOutcome) -> str:
    return str(outcome.values[0]) if outcome.values else "as computed before"
