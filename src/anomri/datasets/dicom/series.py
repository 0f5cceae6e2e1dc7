"""One series of DICOM files: what its headers say, and whether it is complete."""

from __future__ import annotations

import hashlib
import math
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anomri.datasets.dicom.geometry import geometry_fault, planes_of
from anomri.datasets.dicom.images import (
    GE_KIND,
    PER_FRAME,
    SHARED,
    Image,
    kind_of,
    lift_frame_tags,
    places_in,
)
from anomri.datasets.dicom.volumes import SAME_SERIES, TELLING, volumes_of
from anomri.errors import MissingPiece, NotFetched, ScanError
from anomri.input_files import SLICE_SHARE, guarded, inflated_size, limit_bytes, refuse_larger

if TYPE_CHECKING:
    from pydicom import Dataset

EXTRA = 'reading DICOM needs pydicom and dcm2niix. Next: `pip install "anomri[dicom]"`.'
PREAMBLE, MAGIC = 128, b"DICM"
STORED = "MediaStorageSOPClassUID"
TAGS = (
    *("SOPClassUID", "Modality", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber"),
    *("SeriesDescription", "ProtocolName", "ImageType", "SequenceName", "ScanningSequence"),
    *("SequenceVariant", "EchoTime", "RepetitionTime", "InversionTime", "ContrastBolusAgent"),
    *("DiffusionBValue", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SOPInstanceUID", "FrameOfReferenceUID"),
    *("ComplexImageComponent", "PhotometricInterpretation", "InstanceNumber", *TELLING),
)
PATIENT = ("PatientID", "PatientBirthDate", "PatientName")
NOT_KEPT = (*PATIENT, SHARED, PER_FRAME)  # read from each file, and not kept
TRUNCATED = "truncated"
BARE = ((b"\x02\0", b"\0\0"), (b"\x08\0", b"\0\0"), (b"\x08\0", b"\x01\0"), (b"\x08\0", b"\x05\0"),
        (b"\x08\0", b"\x08\0"), (b"\x08\0", b"\x12\0"), (b"\x08\0", b"\x16\0"))  # fmt: skip
"""Group and element that DICOM data begin with where preamble and magic are missing."""
DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory: a list of files, as DICOMDIR is
UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


@dataclass(slots=True)
class Series:
    """The images of one series, or of one volume of it.

    Attributes:
        uid: its SeriesInstanceUID.
        header: tags of :data:`TAGS` of the first image; nothing that names a patient.
        images: in the order in which they were met.
        patient: stands for the patient, and does not name one; empty where no tag does.
        part: which volume of the series, from 1; 0 where it holds one.
        echo: which of how many echoes under its UID.
        copies: images left out because they were in it already.
        uids: how many series UIDs its images had.
        strays: images under its UID that do not belong to the volume, in words.
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
        """Of its images."""
        return [image.path for image in self.images]

    @property
    def planes(self) -> list[tuple[float, ...]]:
        """Directions of rows and columns that occur."""
        return planes_of(self.images)

    @property
    def kind(self) -> str:
        """Magnitude, phase, ..., or nothing where no tag says."""
        return kind_of(self.header)

    @property
    def study(self) -> tuple[str, str]:
        """What its patient and study share with no other; a series without a study is alone."""
        return self.patient, self.text("StudyInstanceUID") or self.uid

    def text(self, tag: str) -> str:
        """Return a tag as one line of text; empty where it is not there."""
        value = self.header.get(tag)
        parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return " ".join(" ".join(str(part).split()) for part in parts if part is not None)

    def number(self, tag: str) -> float | None:
        """Return a tag as a number; None where it is not there, is none, or is not finite."""
        try:
            value = float(self.header.get(tag))
        except (TypeError, ValueError, OverflowError):
            return None
        return value if math.isfinite(value) else None

    @property
    def number_text(self) -> str:
        """The number that a person chooses it by: ``5``, or ``5.2`` for a part of series 5."""
        number = self.text("SeriesNumber") or "?"
        return f"{number}.{self.part}" if self.part else number

    @property
    def name(self) -> str:
        """What a person calls it: its number."""
        return f"series {self.number_text}"

    @property
    def description(self) -> str:
        """What the scanner's operator called it."""
        return self.text("SeriesDescription") or self.text("ProtocolName")

    @property
    def slices(self) -> int:
        """Images in it, frames of multi-frame files included."""
        return max(len(self.images), int(self.number("NumberOfFrames") or 1))

    def fault(self) -> str | None:
        """Say why the series is not a whole volume; None where it is."""
        faults = sum(bool(image.fault) for image in self.images)
        if faults:
            return f"{faults} of {len(self.images)} files are truncated; copy them again"
        fault = geometry_fault(self.images)
        return "; ".join([*self.strays, fault]) if fault else None


def read_series(paths: Iterable[Path]) -> tuple[list[Series], list[tuple[Path, str]]]:
    """Sort DICOM files into series by their headers; pixels are read only of seeming copies.

    Args:
        paths: files of any kind.

    Returns:
        The series, by their numbers; and files that are DICOM but not to be used, with the reason.

    Raises:
        MissingPiece: pydicom is not installed.
    """
    found: dict[tuple[str, ...], Series] = {}
    left: list[tuple[Path, str]] = []
    shared: dict[tuple[str, ...], Dataset] = {}
    for path, header, reason in _headers(paths):
        if header is None:
            left.append((path, reason))
            continue
        patient, places = _patient(header), places_in(header)
        lift_frame_tags(header)
        for tag in NOT_KEPT:
            header.pop(tag, None)
        key = (patient, *(str(header.get(tag) or "") for tag in IDENTITY))
        header_of = shared.setdefault((*key, kind_of(header), *_telling(header)), header)
        series = found.setdefault(key, Series(key[-1], header_of, patient=patient))
        uid = str(header.get("SOPInstanceUID") or "")
        series.images.append(Image(path, header_of, uid, places, reason))
    order = sorted(volumes_of(found.values()), key=_order)
    return order, left


IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID")


def _order(series: Series) -> tuple[float, int]:
    return series.number("SeriesNumber") or 0.0, series.part


def _telling(header: Dataset) -> tuple[str, ...]:
    """Return what may differ within a series and tells volumes apart."""
    return tuple(str(header.get(tag) or "") for tag in (*TELLING, *SAME_SERIES))


def _patient(header: Dataset) -> str:
    """Return what stands for a patient: a hash of the number, or of the name where there is none.

    Never written anywhere. The name alone does not separate: it is spelled differently every day.
    """
    said = [" ".join(str(header.get(tag) or "").split()).upper() for tag in PATIENT]
    facts = said[:2] if said[0] else said
    return hashlib.sha256("\n".join(facts).encode()).hexdigest() if any(facts) else ""


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM files do, with or without a preamble, whatever its name."""
    try:
        with path.open("rb") as stream:
            start = stream.read(PREAMBLE + len(MAGIC))
    except OSError:
        return False
    return start[PREAMBLE:] == MAGIC or _is_bare(start)


def is_bare(path: Path) -> bool:
    """Whether a DICOM file lacks preamble and magic."""
    with path.open("rb") as stream:
        return _is_bare(stream.read(PREAMBLE + len(MAGIC)))


def _is_bare(start: bytes) -> bool:
    """Whether bytes are DICOM data: a known first tag, then its kind or a length that can be."""
    if start[PREAMBLE:] == MAGIC or len(start) < PREAMBLE or (start[:2], start[2:4]) not in BARE:
        return False
    return (start[4:6].isalpha() and start[4:6].isupper()) or start[5:8] == b"\0\0\0"


def _headers(paths: Iterable[Path]) -> Iterator[tuple[Path, Dataset | None, str]]:
    try:
        import pydicom  # noqa: F401 - asked for below
    except ImportError as error:
        raise MissingPiece(EXTRA) from error
    for path in paths:
        if path.name == "DICOMDIR":
            continue
        try:
            header, cut = _header(path)
        except ScanError as error:
            yield path, None, _left_out(error)
            continue
        if _readable(header.file_meta, STORED) and header.file_meta.get(STORED) == DIRECTORY:
            continue
        if not header.get("SOPClassUID") or not header.get("SeriesInstanceUID"):
            yield path, None, "truncated or no DICOM file"
        elif not header.get("Rows"):
            yield path, None, "DICOM without an image, such as a report"
        else:
            yield path, header, TRUNCATED if cut else ""


def _left_out(error: ScanError) -> str:
    """Say why a file is not used: what is no DICOM file is no fault of anybody's."""
    told = isinstance(error, NotFetched) or "in memory" in error.reason
    return f"{error.reason}; {error.next_step}" if told else "truncated or no DICOM file"


def _header(path: Path) -> tuple[Any, bool]:
    """Return the tags of a file, and whether it ends before its pixels do.

    Scanners break the standard's rules for numbers all the time, and pydicom raises when a tag is
    first looked at: hence all are, and a tag that cannot be read is not there.

    Raises:
        ScanError: it is no DICOM file, is damaged, or unpacks to more than the limit.
    """
    import pydicom

    with (
        guarded(path, expected="a DICOM file"),
        path.open("rb") as stream,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        _refuse_deflated_bomb(path)
        tags: list[Any] = [*TAGS, *NOT_KEPT, GE_KIND]
        header = pydicom.dcmread(
            stream, stop_before_pixels=True, specific_tags=tags, force=is_bare(path)
        )
        for tag in (*TAGS, *NOT_KEPT):
            if not _readable(header, tag):
                del header[tag]
        return header, path.stat().st_size - stream.tell() < _pixel_bytes(header)


def _readable(header: Dataset, tag: str) -> bool:
    try:
        header.get(tag)
    except Exception:  # any of pydicom's: they differ by the kind of the tag
        return False
    return True


def _refuse_deflated_bomb(path: Path) -> None:
    """Raise where a deflated file unpacks to more than a header may: pydicom unpacks all of it.

    Raises:
        UnreadableScan: it does.
    """
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if not is_dicom(path) or is_bare(path):
        return
    about = read_file_meta_info(path)
    if about.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    # The group's own length counts from behind itself: 12 bytes after preamble and magic.
    start = PREAMBLE + len(MAGIC) + 12 + int(about.FileMetaInformationGroupLength)
    limit = limit_bytes() // SLICE_SHARE
    size = inflated_size(path.read_bytes()[start:], limit=limit, wbits=-zlib.MAX_WBITS)
    refuse_larger(path, size, share=SLICE_SHARE)


def _pixel_bytes(header: Dataset) -> int:
    """Return the bytes that the pixels take; 0 where they are compressed or there are none."""
    if str(header.file_meta.get("TransferSyntaxUID", UNCOMPRESSED[0])) not in UNCOMPRESSED:
        return 0
    tags = ("Rows", "Columns", "BitsAllocated")
    if any(header.get(tag) is None for tag in tags):
        return 0
    bits = int(np.prod([int(header.get(tag)) for tag in tags], dtype=object))
    return (
        bits * int(header.get("NumberOfFrames") or 1) * int(header.get("SamplesPerPixel") or 1) // 8
    )
