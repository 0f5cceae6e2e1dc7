"""One DICOM file as the rest of this package sees it: what kind of image, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom import Dataset

MAGNITUDE, PHASE, REAL, IMAGINARY = "magnitude", "phase", "real", "imaginary"
KINDS = {
    **dict.fromkeys(("P", "PHASE", "PHASE MAP"), PHASE),
    **dict.fromkeys(("R", "REAL"), REAL),
    **dict.fromkeys(("I", "IMAGINARY"), IMAGINARY),
    **dict.fromkeys(("M", "MAGNITUDE"), MAGNITUDE),
}
GE_KIND = 0x0043102F  # RawDataType_ImageType
GE_KINDS = (MAGNITUDE, PHASE, REAL, IMAGINARY)
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
FRAME_TAGS = {
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "RepetitionTime": ("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
    "FlipAngle": ("MRTimingAndRelatedParametersSequence", "FlipAngle"),
    "InversionTime": ("MRModifierSequence", "InversionTimes"),
}
"""Where an enhanced file keeps what a plain one says at the top, DICOM PS3.3 C.8.13.5."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one image or frame lies.

    Attributes:
        directions: of rows and columns, 6 cosines.
        position: of the first pixel's centre, 3 values in mm (LPS).
    """

    directions: tuple[float, ...]
    position: tuple[float, ...]

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) direction across the slice."""
        return np.cross(self.directions[:3], self.directions[3:])


@dataclass(frozen=True, slots=True)
class Image:
    """One DICOM file, without its pixels.

    Attributes:
        path: of the file.
        header: of the first file that differs in nothing that tells volumes apart; shared, so
            that a cohort of a million files fits into memory.
        uid: its SOPInstanceUID.
        places: of its image, or of each frame; empty where the header does not say.
        fault: why the file cannot be used.
    """

    path: Path
    header: Dataset
    uid: str = ""
    places: tuple[Place, ...] = ()
    fault: str = ""


def kind_of(header: Dataset) -> str:
    """Return ``magnitude``, ``phase``, ``real``, ``imaginary``, or nothing where no tag says.

    Read from ComplexImageComponent, from ImageType behind its first two values (PS3.3 C.8.3.1.1.1),
    and from GE's private tag.
    """
    component = str(header.get("ComplexImageComponent") or "").strip().upper()
    if component in KINDS:
        return KINDS[component]
    values = header.get("ImageType") or ()
    values = [values] if isinstance(values, str) else list(values)
    said = [KINDS[v] for value in values[2:] if (v := str(value).strip().upper()) in KINDS]
    if said:
        return said[0]
    number = header[GE_KIND].value if GE_KIND in header else None
    return GE_KINDS[number] if isinstance(number, int) and 0 <= number < len(GE_KINDS) else ""


def places_in(header: Dataset) -> tuple[Place, ...]:
    """Return where the image, or each frame of a multi-frame file, lies.

    Returns:
        One place per frame, or none at all where one of them is not told.
    """
    if not header.get(PER_FRAME):
        place = _place(header, header)
        return () if place is None else (place,)
    places = [
        _place(_group(own, shared, "PlaneOrientationSequence"),
               _group(own, shared, "PlanePositionSequence"))
        for own, shared in _frames(header)
    ]  # fmt: skip
    known = tuple(place for place in places if place is not None)
    return known if len(known) == len(places) else ()


def lift_frame_tags(header: Dataset) -> None:
    """Give the header of a multi-frame file the times of its first frame, at the top."""
    first = next(_frames(header), None) if header.get(PER_FRAME) else None
    if first is None:
        return
    for tag, (group, name) in FRAME_TAGS.items():
        value = (_group(*first, group) or {}).get(name)
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = value[0] if value else None
        if value is not None and header.get(tag) is None:
            setattr(header, tag, value)


def _frames(header: Dataset) -> Iterator[tuple[Any, Any]]:
    shared = header.get(SHARED)
    for own in header.get(PER_FRAME):
        yield own, shared[0] if shared else None


def _group(own: Any, shared: Any, name: str) -> Any:
    """Return a functional group of a frame: its own, or the one that all share."""
    held = own.get(name) or (shared.get(name) if shared is not None else None)
    return held[0] if held else None


def _place(orientation: Any, position: Any) -> Place | None:
    directions = numbers(orientation, "ImageOrientationPatient", 6)
    point = numbers(position, "ImagePositionPatient", 3)
    if directions is None or point is None or not _is_plane(directions):
        return None
    return Place(tuple(map(float, directions)), tuple(map(float, point)))


def _is_plane(directions: NDArray[np.float64]) -> bool:
    """Whether rows and columns have directions that span a plane; zeros do not."""
    return bool(np.linalg.norm(np.cross(directions[:3], directions[3:])) > 0.5)


def numbers(header: Any, tag: str, count: int) -> NDArray[np.float64] | None:
    """Return a tag as so many numbers; None where it holds anything else."""
    try:
        values = np.asarray(header.get(tag), dtype=np.float64)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None
