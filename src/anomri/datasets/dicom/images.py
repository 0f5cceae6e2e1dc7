"""One DICOM file without its pixels: kind of image, position and orientation."""

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
GE_KIND_TAG = 0x0043102F  # RawDataType_ImageType
GE_KINDS = (MAGNITUDE, PHASE, REAL, IMAGINARY)
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
FRAME_TAGS = {
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "RepetitionTime": ("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
    "FlipAngle": ("MRTimingAndRelatedParametersSequence", "FlipAngle"),
    "InversionTime": ("MRModifierSequence", "InversionTimes"),
}
"""Functional groups of enhanced files for tags of plain ones, DICOM PS3.3 C.8.13.5."""


@dataclass(frozen=True, slots=True)
class Place:
    """Position and orientation of an image or frame.

    Attributes:
        directions: 6 direction cosines of rows and columns.
        position: centre of the first pixel, in mm (LPS).
    """

    directions: tuple[float, ...]
    position: tuple[float, ...]

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) normal of the slice."""
        return np.cross(self.directions[:3], self.directions[3:])


@dataclass(frozen=True, slots=True)
class Image:
    """One DICOM file, without its pixels.

    Attributes:
        path: of the file.
        header: header of the first file that agrees in all tags that distinguish volumes; shared,
            so that a cohort of a million files fits into memory.
        uid: its SOPInstanceUID.
        places: place of the image, or of each frame; empty if unknown.
        fault: why the file cannot be used.
    """

    path: Path
    header: Dataset
    uid: str = ""
    places: tuple[Place, ...] = ()
    fault: str = ""


def kind_of(header: Dataset) -> str:
    """Return ``magnitude``, ``phase``, ``real`` or ``imaginary``; empty if unknown.

    Taken from ComplexImageComponent, from ImageType after its first two values (PS3.3
    C.8.3.1.1.1), or from GE's private tag.
    """
    component = str(header.get("ComplexImageComponent") or "").strip().upper()
    if component in KINDS:
        return KINDS[component]
    values = header.get("ImageType") or ()
    values = [values] if isinstance(values, str) else list(values)
    kinds = [KINDS[v] for value in values[2:] if (v := str(value).strip().upper()) in KINDS]
    if kinds:
        return kinds[0]
    number = header[GE_KIND_TAG].value if GE_KIND_TAG in header else None
    return GE_KINDS[number] if isinstance(number, int) and 0 <= number < len(GE_KINDS) else ""


def places_in(header: Dataset) -> tuple[Place, ...]:
    """Return the place of the image, or of each frame of a multi-frame file.

    Returns:
        One place per frame; empty if one of them is unknown.
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
    """Copy the times of the first frame of a multi-frame file to the top of its header."""
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
    """Return a functional group of a frame: its own, or the shared one."""
    groups = own.get(name) or (shared.get(name) if shared is not None else None)
    return groups[0] if groups else None


def _place(orientation: Any, position: Any) -> Place | None:
    directions = numbers(orientation, "ImageOrientationPatient", 6)
    point = numbers(position, "ImagePositionPatient", 3)
    if directions is None or point is None or not _is_plane(directions):
        return None
    return Place(tuple(map(float, directions)), tuple(map(float, point)))


def _is_plane(directions: NDArray[np.float64]) -> bool:
    """Whether the directions of rows and columns span a plane; zeros do not."""
    return bool(np.linalg.norm(np.cross(directions[:3], directions[3:])) > 0.5)


def numbers(header: Any, tag: str, count: int) -> NDArray[np.float64] | None:
    """Return a tag as an array of ``count`` numbers; None if it has another form."""
    try:
        values = np.asarray(header.get(tag), dtype=np.float64)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None
