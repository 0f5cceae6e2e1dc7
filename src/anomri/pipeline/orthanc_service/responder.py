"""What makes the answer for a study, as the service sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anomri.pipeline.orthanc_service.journal import Outcome
from anomri.pipeline.orthanc_service.study_folder import StudyFolder


@dataclass(frozen=True, slots=True)
class Answer:
    """How the work on a study ended.

    Attributes:
        outcome: done or refused.
        exit_code: that it amounts to.
        summary: in one line, without tags of the patient.
    """

    outcome: Outcome
    exit_code: int
    summary: str


class Responder(Protocol):
    """Makes the answer for a study from its images."""

    def wants(self, tags: Mapping[str, str]) -> bool:
        """Whether a series with these tags makes its study one to look at."""

    def detect(self, study: StudyFolder, answer: Path) -> Answer:
        """Write the DICOM objects for a study into a folder."""

    def refuse(
        self, study: StudyFolder, answer: Path, reason: str, next_step: str, exit_code: int
    ) -> Answer:
        """Write a note on why there is no result into a folder."""
