"""One series of DICOM images, or one volume of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from anomri.datasets.dicom.images import Image, kind_of
from anomri.datasets.dicom.slice_geometry import geometry_fault, planes_of
from anomri.datasets.shown_names import shown_names

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(slots=True)
class Series:
    """A DICOM series, or one volume of it.

    Attributes:
        uid: its SeriesInstanceUID.
        header: tags of the first image, without identifying ones.
        images: in the order of reading.
        patient: pseudonym of the patient; empty if no tag identifies one.
        part: number of the volume in the series, from 1; 0 if there is only one.
        echo: number of the echo, and number of echoes under its UID.
        copies: number of duplicate images left out.
        uids: number of series UIDs of its images.
        strays: descriptions of images under its UID that do not belong to the volume.
    """

    uid: str
    header: Dataset
    images: list[Image] = field(default_factory=list)
    patient: str = ""
    part: int = 0
    echo: tuple[int, int] = (1, 1)
    copies: int = 0
    uids: int = 1
    strays: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Paths of the images."""
        return [image.path for image in self.images]

    @property
    def planes(self) -> list[tuple[float, ...]]:
        """The distinct orientations, as directions of rows and columns."""
        return planes_of(self.images)

    @property
    def kind(self) -> str:
        """Magnitude, phase, real or imaginary; empty if unknown."""
        return kind_of(self.header)

    @property
    def study(self) -> tuple[str, str]:
        """Key of patient and study; a series without a study UID is a study of its own."""
        return self.patient, self.text("StudyInstanceUID") or self.uid

    def text(self, tag: str) -> str:
        """Return a tag as one line of text; empty if missing."""
        value = self.header.get(tag)
        parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return " ".join(" ".join(str(part).split()) for part in parts if part is not None)

    def number(self, tag: str) -> float | None:
        """Return a tag as a number; None if missing, invalid or not finite."""
        try:
            value = float(self.header.get(tag))
        except (TypeError, ValueError, OverflowError):
            return None
        return value if math.isfinite(value) else None

    @property
    def number_text(self) -> str:
        """Number for ``--series``: ``5``, or ``5.2`` for a volume of series 5."""
        number = self.text("SeriesNumber") or "?"
        return f"{number}.{self.part}" if self.part else number

    @property
    def name(self) -> str:
        """Name for messages."""
        return f"series {self.number_text}"

    @property
    def description(self) -> str:
        """Series description, or else the protocol name."""
        return self.text("SeriesDescription") or self.text("ProtocolName")

    @property
    def slices(self) -> int:
        """Number of images, including frames of multi-frame files."""
        return max(len(self.images), int(self.number("NumberOfFrames") or 1))

    def fault(self) -> str | None:
        """Return why the series is not a complete volume; None if it is."""
        if truncated := [image.path.name for image in self.images if image.fault]:
            count = f"{len(truncated)} of {len(self.images)} files are truncated"
            return f"{count} ({shown_names(truncated)}); copy them again"
        fault = geometry_fault(self.images)
        return "; ".join([*self.strays, fault]) if fault else None
