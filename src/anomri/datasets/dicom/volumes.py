"""Joining and splitting of series, so that each holds one volume.

Scanners put magnitude and phase, or several echoes, under one UID; export software duplicates
files, gives each slice its own UID or cuts a series in two. Series that together form an evenly
spaced volume are joined, duplicate images are removed, and then series with several volumes are
split by the tags that distinguish them. No volume is discarded here.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from anomri.datasets.dicom.images import MAGNITUDE, PHASE, Image, Place, kind_of
from anomri.datasets.dicom.series import Series
from anomri.datasets.dicom.slice_geometry import (
    heights_of,
    planes_of,
    repeated,
    same_plane,
    spacing_fault,
)

MIN_SLICES = 8
MAX_PARTS = 8  # more volumes under one UID are a time series or raw data of a map
MAIN_FRACTION = 0.8  # of a series; the rest are strays, such as localiser images
SAME_SERIES = (
    *("SeriesNumber", "SeriesDescription", "ProtocolName", "ImageType", "SequenceName"),
    *("EchoTime", "RepetitionTime", "InversionTime", "ContrastBolusAgent", "Rows", "Columns"),
    "FrameOfReferenceUID",
)
DISTINGUISHING = (
    *("EchoTime", "EchoNumbers", "InversionTime", "ContrastBolusAgent", "DiffusionBValue"),
    *("FlipAngle", "TemporalPositionIdentifier", "AcquisitionNumber"),
)
"""Tags that distinguish volumes of one series at the same positions, in this order."""


def volumes_of(found: Iterable[Series]) -> list[Series]:
    """Return series of one volume each, as far as their headers tell.

    Args:
        found: series with the images of one UID each.
    """
    return [volume for series in _joined(list(found)) for volume in split(without_copies(series))]


def without_copies(series: Series) -> Series:
    """Return a series without duplicate images; pixels are read only if necessary.

    Two files are duplicates if position, tags and pixels are equal. If one of two files with the
    same UID is truncated, the other one is kept.
    """
    groups: dict[Hashable, list[Image]] = defaultdict(list)
    for image in series.images:
        groups[_position_key(image), kind_of(image.header), _tags(image, DISTINGUISHING)].append(
            image
        )
    kept = {id(image) for group in groups.values() for image in _unique(group)}
    images = [image for image in series.images if id(image) in kept]
    return replace(series, images=images, copies=len(series.images) - len(images))


def _position_key(image: Image) -> Hashable:
    if not image.places:
        return image.uid or image.path
    return tuple(
        (tuple(np.round(place.directions, 3)), tuple(np.round(place.position, 2)))
        for place in image.places
    )


def _unique(group: list[Image]) -> Iterator[Image]:
    """Yield the images of a group that do not duplicate an earlier one; complete files first."""
    if len(group) == 1:
        yield group[0]
        return
    seen: set[str] = set()
    complete = [image for image in group if not image.fault]
    for image in complete:
        digest = _digest(image.path)
        if digest not in seen:
            seen.add(digest)
            yield image
    uids = {image.uid for image in complete}
    yield from (image for image in group if image.fault and image.uid not in uids)


def _digest(path: Path) -> str:
    """Hash the pixels of a file, decompressed if possible."""
    import pydicom

    try:
        data = pydicom.dcmread(path, force=True)
        content = data.get("PixelData", b"")
        if data.file_meta.get(
            "TransferSyntaxUID", pydicom.uid.ExplicitVRLittleEndian
        ).is_compressed:
            content = data.pixel_array.tobytes()
        content = content.rstrip(b"\0")  # padding to an even length
    except Exception:  # if decoding fails, hash the file instead
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _joined(found: list[Series]) -> list[Series]:
    """Join series that a scanner or an export has cut into pieces."""
    groups: dict[Hashable, list[Series]] = defaultdict(list)
    for series in found:
        tags = _tags(series.images[0], SAME_SERIES) if series.images else ()
        groups[series.patient, series.text("StudyInstanceUID"), tags].append(series)
    return [series for group in groups.values() for series in _joined_group(group)]


def _joined_group(group: list[Series]) -> list[Series]:
    """Return one series if the group forms one volume, otherwise the group itself.

    Series of a single image are not volumes, and are joined even if slices are missing.
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
    is_volume = not repeated(places) if single else not spacing_fault(heights_of(places))
    return [together] if is_volume else group


def split(series: Series) -> list[Series]:
    """Return the volumes of a series, numbered if there are several."""
    parts = _grouped(series.images, lambda image: kind_of(image.header))
    for split_further in (partial(_grouped, key=_size), _by_plane, _by_tags):
        parts = [part for images in parts for part in split_further(images)]
    if len(parts) == 1 or len(parts) > MAX_PARTS:
        return [series]
    return list(_numbered(series, parts))


def _numbered(series: Series, parts: list[list[Image]]) -> Iterator[Series]:
    main = max(parts, key=len)
    strays = [part for part in parts if len(part) < MIN_SLICES <= len(main)]
    for number, images in enumerate(parts, start=1):
        echoes = sorted({_echo(p[0]) for p in parts if _comparable(p[0], images[0])})
        yield replace(
            series,
            header=images[0].header,
            images=images,
            part=number,
            echo=(echoes.index(_echo(images[0])) + 1, len(echoes)),
            strays=tuple(_description(part) for part in strays) if images is main else (),
        )


def _comparable(first: Image, second: Image) -> bool:
    return kind_of(first.header) == kind_of(second.header) and _size(first) == _size(second)


def _description(part: Sequence[Image]) -> str:
    kind = kind_of(part[0].header)
    what = f"{kind} images" if kind == PHASE else "images of another kind"
    return f"{len(part)} {what} among them"


def _echo(image: Image) -> float:
    return _number(str(image.header.get("EchoTime")))


def _size(image: Image) -> Hashable:
    return _tags(image, ("Rows", "Columns"))


def _grouped(images: Sequence[Image], key: Callable[[Image], Any]) -> list[list[Image]]:
    groups: dict[Any, list[Image]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return [groups[value] for value in sorted(groups, key=_rank)]


def _rank(value: Any) -> tuple[tuple[float, str], ...]:
    """Return a sort key: magnitude first, numbers in numerical order."""
    texts = value if isinstance(value, tuple) else (value,)
    return tuple((_number(text), "" if text == MAGNITUDE else text) for text in texts)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf


def _by_plane(images: list[Image]) -> list[list[Image]]:
    """Split off strays from the main plane, or volumes of similar orientation; not localisers."""
    planes = planes_of(images)
    if len(planes) < 2 or not all(len(image.places) == 1 for image in images):
        return [images]
    groups = [
        [image for image in images if _plane_index(planes, image.places[0]) == number]
        for number in range(len(planes))
    ]
    groups.sort(key=len, reverse=True)
    has_main = len(groups[0]) > MAIN_FRACTION * len(images)
    similar = all(_nearly_parallel(groups[0][0].places[0], group[0].places[0]) for group in groups)
    several = similar and min(map(len, groups)) >= MIN_SLICES
    return groups if has_main or several else [images]


def _plane_index(planes: list[tuple[float, ...]], place: Place) -> int:
    return next(n for n, plane in enumerate(planes) if same_plane(plane, place.directions))


def _nearly_parallel(first: Place, second: Place) -> bool:
    return bool(abs(float(first.normal @ second.normal)) > np.cos(np.pi / 4))


def _by_tags(images: list[Image]) -> list[list[Image]]:
    """Split images at equal or uneven positions by the first tag that yields valid volumes."""
    if not all(len(image.places) == 1 for image in images) or len(planes_of(images)) != 1:
        return [images]
    if not _fault(images):
        return [images]
    shared = repeated([image.places[0] for image in images])
    for tag in DISTINGUISHING:
        parts = _grouped(images, lambda image, tag=tag: _tags(image, (tag,)))  # type: ignore[misc]
        if len(parts) < 2 or any(len(part) < MIN_SLICES for part in parts):
            continue
        if not any(_repeated(part) if shared else _fault(part) for part in parts):
            return parts
    return [images]


def _fault(images: Sequence[Image]) -> str:
    return spacing_fault(heights_of([image.places[0] for image in images]))


def _repeated(images: Sequence[Image]) -> int:
    return repeated([image.places[0] for image in images])


def _tags(image: Image, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(image.header.get(name) or "") for name in names)
