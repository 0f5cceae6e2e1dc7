"""What a series UID holds and what is one volume are not always the same; here they become so.

Scanners put magnitude and phase, or several echoes, under one UID; export software copies files,
gives each slice a UID of its own or cuts a series in two. In this order: series that together make
one evenly spaced volume are joined, images that are copies of each other count once, and what
still are several volumes is split by the tags that tell them apart. Nothing is chosen here.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anomri.datasets.dicom.geometry import heights_of as _heights
from anomri.datasets.dicom.geometry import planes_of, repeated, same_plane, spacing_fault
from anomri.datasets.dicom.images import MAGNITUDE, PHASE, Image, Place, kind_of

if TYPE_CHECKING:
    from anomri.datasets.dicom.series import Series

MIN_SLICES = 8
MAX_PARTS = 8  # more volumes under one UID are a series over time, or a map's raw data
MOST = 0.8  # of a series: the rest are strays, such as a localiser among its slices
SAME_SERIES = (
    *("SeriesNumber", "SeriesDescription", "ProtocolName", "ImageType", "SequenceName"),
    *("EchoTime", "RepetitionTime", "InversionTime", "ContrastBolusAgent", "Rows", "Columns"),
    "FrameOfReferenceUID",
)
TELLING = (
    *("EchoTime", "EchoNumbers", "InversionTime", "ContrastBolusAgent", "DiffusionBValue"),
    *("FlipAngle", "TemporalPositionIdentifier", "AcquisitionNumber"),
)
"""Tags that tell volumes of one series apart where its images share places, in this order."""


def volumes_of(found: Iterable[Series]) -> list[Series]:
    """Return series that hold one volume each, as far as headers and copies can tell.

    Args:
        found: series by their UIDs.
    """
    return [volume for series in _joined(list(found)) for volume in split(without_copies(series))]


def without_copies(series: Series) -> Series:
    """Return a series without images that are in it already; pixels are read only where needed.

    Two files are copies if they lie in one place, with the same tags and the same pixels. Where one
    of two files with the same UID is truncated, the other one stays.
    """
    groups: dict[Hashable, list[Image]] = defaultdict(list)
    for image in series.images:
        groups[_where(image), kind_of(image.header), _tags(image, TELLING)].append(image)
    kept = {id(image) for group in groups.values() for image in _once(group)}
    images = [image for image in series.images if id(image) in kept]
    return replace(series, images=images, copies=len(series.images) - len(images))


def _where(image: Image) -> Hashable:
    if not image.places:
        return image.uid or image.path
    return tuple(
        (tuple(np.round(place.directions, 3)), tuple(np.round(place.position, 2)))
        for place in image.places
    )


def _once(group: list[Image]) -> Iterator[Image]:
    """Yield the images of a group that are not copies of an earlier one; whole files first."""
    if len(group) == 1:
        yield group[0]
        return
    seen: set[str] = set()
    whole = [image for image in group if not image.fault]
    for image in whole:
        digest = _digest(image.path)
        if digest not in seen:
            seen.add(digest)
            yield image
    uids = {image.uid for image in whole}
    yield from (image for image in group if image.fault and image.uid not in uids)


def _digest(path: Path) -> str:
    """Hash the pixels of a file, unpacked if they are compressed and that can be done."""
    import pydicom

    try:
        data = pydicom.dcmread(path, force=True)
        content = data.get("PixelData", b"")
        if data.file_meta.get(
            "TransferSyntaxUID", pydicom.uid.ExplicitVRLittleEndian
        ).is_compressed:
            content = data.pixel_array.tobytes()
        content = content.rstrip(b"\0")  # the one byte that makes the length even
    except Exception:  # whatever a decoder raises: the bytes of the file then stand for the image
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _joined(found: list[Series]) -> list[Series]:
    """Return the series, those joined that a scanner or an export cut into pieces."""
    groups: dict[Hashable, list[Series]] = defaultdict(list)
    for series in found:
        tags = _tags(series.images[0], SAME_SERIES) if series.images else ()
        groups[series.patient, series.text("StudyInstanceUID"), tags].append(series)
    return [series for group in groups.values() for series in _one_or_all(group)]


def _one_or_all(group: list[Series]) -> list[Series]:
    """Return one series if the group makes one volume, and the group as it is if not.

    Series of a single image are no volumes of their own, and are joined whatever is missing.
    """
    first = group[0]
    if len(group) == 1 or not first.text("StudyInstanceUID"):
        return group
    images = [image for series in group for image in series.images]
    together = without_copies(replace(first, images=images, uids=len(group)))
    if len(planes_of(together.images)) != 1 or not all(image.places for image in images):
        return group
    places = [image.places[0] for image in together.images]
    single = all(len(series.images) == 1 for series in group)
    as_one = not repeated(places) if single else not spacing_fault(_heights(places))
    return [together] if as_one else group


def split(series: Series) -> list[Series]:
    """Return the volumes of a series, numbered where there are several."""
    parts = _by(series.images, lambda image: kind_of(image.header))
    parts = [part for each in parts for part in _by(each, _size)]
    parts = [part for each in parts for part in _by_plane(each)]
    parts = [part for each in parts for part in _by_tags(each)]
    if len(parts) == 1 or len(parts) > MAX_PARTS:
        return [series]
    return list(_numbered(series, parts))


def _numbered(series: Series, parts: list[list[Image]]) -> Iterator[Series]:
    main = max(parts, key=len)
    few = [part for part in parts if len(part) < MIN_SLICES <= len(main)]
    for number, images in enumerate(parts, start=1):
        echoes = sorted({_echo(p[0]) for p in parts if _siblings(p[0], images[0])})
        yield replace(
            series,
            header=images[0].header,
            images=images,
            part=number,
            echo=(echoes.index(_echo(images[0])) + 1, len(echoes)),
            strays=tuple(_named(part) for part in few) if images is main else (),
        )


def _siblings(first: Image, second: Image) -> bool:
    return kind_of(first.header) == kind_of(second.header) and _size(first) == _size(second)


def _named(part: Sequence[Image]) -> str:
    kind = kind_of(part[0].header)
    what = f"{kind} images" if kind == PHASE else "images of another kind"
    return f"{len(part)} {what} among them"


def _echo(image: Image) -> float:
    return _number(str(image.header.get("EchoTime")))


def _size(image: Image) -> Hashable:
    return _tags(image, ("Rows", "Columns"))


def _by(images: Sequence[Image], key: Callable[[Image], Any]) -> list[list[Image]]:
    groups: dict[Any, list[Image]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return [groups[value] for value in sorted(groups, key=_rank)]


def _rank(value: Any) -> tuple[tuple[float, str], ...]:
    """Return what sorts numbers as numbers, and the magnitude before all else."""
    texts = value if isinstance(value, tuple) else (value,)
    return tuple((_number(text), "" if text == MAGNITUDE else text) for text in texts)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf


def _by_plane(images: list[Image]) -> list[list[Image]]:
    """Split where nearly all slices share a plane, or two heads lie in it; else a localiser."""
    planes = planes_of(images)
    if len(planes) < 2 or not all(len(image.places) == 1 for image in images):
        return [images]
    groups = [
        [image for image in images if _first_of(planes, image.places[0]) == number]
        for number in range(len(planes))
    ]
    groups.sort(key=len, reverse=True)
    mostly = len(groups[0]) > MOST * len(images)
    tilted = all(_nearly_parallel(groups[0][0].places[0], group[0].places[0]) for group in groups)
    whole = tilted and min(map(len, groups)) >= MIN_SLICES
    return groups if mostly or whole else [images]


def _first_of(planes: list[tuple[float, ...]], place: Place) -> int:
    return next(n for n, plane in enumerate(planes) if same_plane(plane, place.directions))


def _nearly_parallel(first: Place, second: Place) -> bool:
    return bool(abs(float(first.normal @ second.normal)) > np.cos(np.pi / 4))


def _by_tags(images: list[Image]) -> list[list[Image]]:
    """Split images that share places, or lie unevenly, by the first tag that puts it right."""
    if not all(len(image.places) == 1 for image in images) or len(planes_of(images)) != 1:
        return [images]
    if not _fault(images):
        return [images]
    shared = repeated([image.places[0] for image in images])
    for tag in TELLING:
        parts = _by(images, lambda image, tag=tag: _tags(image, (tag,)))  # type: ignore[misc]
        if len(parts) < 2 or any(len(part) < MIN_SLICES for part in parts):
            continue
        if not any(_repeated(part) if shared else _fault(part) for part in parts):
            return parts
    return [images]


def _fault(images: Sequence[Image]) -> str:
    return spacing_fault(_heights([image.places[0] for image in images]))


def _repeated(images: Sequence[Image]) -> int:
    return repeated([image.places[0] for image in images])


def _tags(image: Image, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(image.header.get(name) or "") for name in names)
