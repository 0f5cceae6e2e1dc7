"""The files of one study while it is worked on: removed when its answer was sent."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from anomri.files import remove_stale_drafts
from anomri.pipeline.orthanc_service.answers import is_orthanc_id

STUDIES = "studies"


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """Folder of a study, named by Orthanc's identifier.

    Attributes:
        path: of the folder.
    """

    path: Path

    @classmethod
    def of(cls, work: Path, study: str) -> StudyFolder:
        """Return a study's folder in the work folder."""
        return cls(work / STUDIES / study)

    @property
    def images(self) -> Path:
        """Folder of the downloaded images, which hold the patient's tags."""
        return self.path / "images"

    @property
    def results(self) -> Path:
        """Folder of what the detection writes."""
        return self.path / "results"

    @property
    def answer(self) -> Path:
        """Folder of the DICOM objects to send; there once all of them are."""
        return self.path / "answer"

    def prepare(self, instances: Collection[str]) -> None:
        """Create the folder, for its owner alone, and remove images that are not of the study."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.images.mkdir(exist_ok=True)
        remove_stale_drafts(self.path)
        for path in self.images.iterdir():
            if path.stem not in instances:
                path.unlink()

    def image(self, instance: str) -> Path:
        """Return the path of an image."""
        return self.images / f"{instance}.dcm"

    def remove(self) -> None:
        """Remove the folder; the images last, so that what is left can be recognised."""
        for folder in (self.answer, self.results, self.path):
            shutil.rmtree(folder, ignore_errors=True)


def remove_others(work: Path, studies: Collection[str]) -> None:
    """Remove what a killed process left of studies other than these.

    Only what is named as the service names it: the work folder may hold something else, too.
    """
    folder = work / STUDIES
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_orthanc_id(path.name) and path.name not in studies:
            shutil.rmtree(path, ignore_errors=True)
