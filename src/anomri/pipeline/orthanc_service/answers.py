"""What Orthanc answers, as far as it is used; checked before anything is done with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

ID_PATTERN = r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$"
OrthancId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""A hash of the identifiers in DICOM, so that it reveals none; safe as a name of a folder."""
STUDY_CHANGES = frozenset({"NewStudy", "StableStudy"})
"""A new study is noted at once: Orthanc forgets to call it stable if it is restarted before."""
MR = "MR"


def is_orthanc_id(text: str) -> bool:
    """Whether a text has the form of Orthanc's identifiers."""
    return re.fullmatch(ID_PATTERN, text) is not None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class System(_Answer):
    """Of ``/system``."""

    ApiVersion: int
    Version: str


class Change(_Answer):
    """An entry of the log of changes; the identifier of a study is checked, others are not used."""

    ChangeType: str
    ID: str

    @model_validator(mode="after")
    def _names_a_study(self) -> Change:
        if self.ChangeType in STUDY_CHANGES and not is_orthanc_id(self.ID):
            raise ValueError("expected the identifier of a study")
        return self


class Changes(_Answer):
    """Of ``/changes``: a part of the log, whether it is the last, and the position behind it."""

    Changes: list[Change]
    Done: bool
    Last: int

    def studies(self) -> list[str]:
        """Return the studies that are new or stable, each once, in the order of the log."""
        found = (one.ID for one in self.Changes if one.ChangeType in STUDY_CHANGES)
        return list(dict.fromkeys(found))


class Study(_Answer):
    """Of ``/studies/{id}``."""

    ID: OrthancId
    IsStable: bool
    MainDicomTags: dict[str, str]


class Series(_Answer):
    """A series of a study."""

    ID: OrthancId
    Instances: list[OrthancId]
    MainDicomTags: dict[str, str]


class Resource(_Answer):
    """A hit of ``/tools/lookup``."""

    ID: OrthancId
    Type: str


class Stored(_Answer):
    """Of a file that was sent."""

    Status: str
    ParentStudy: OrthancId


@dataclass(frozen=True, slots=True)
class SourceImages:
    """The MR images of a study that others sent.

    Attributes:
        instances: of each series.
    """

    instances: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, series: Sequence[Series], manufacturer: str) -> SourceImages:
        """Return the MR images of a study, without what ``manufacturer`` made of them."""
        source = [
            one
            for one in series
            if one.MainDicomTags.get("Modality") == MR
            and one.MainDicomTags.get("Manufacturer") != manufacturer
        ]
        return cls({one.ID: sorted(one.Instances) for one in sorted(source, key=lambda s: s.ID)})

    @property
    def fingerprint(self) -> str:
        """Hash of which images there are; results that are sent back do not change it."""
        names = "\n".join(name for images in self.instances.values() for name in images)
        return hashlib.sha256(names.encode()).hexdigest()[:16] if names else ""
