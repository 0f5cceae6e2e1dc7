"""One series of DICOM files: what its headers say, and whether it is complete."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anomri.errors import MissingPiece, ScanError
from anomri.input_files import SLICE_SHARE, guarded, inflated_size, limit_bytes, refuse_larger

if TYPE_CHECKING:
    from pydicom import Dataset

EXTRA = 'reading DICOM needs pydicom and dcm2niix. Next: `pip install "anomri[dicom]"`.'
PREAMBLE, MAGIC = 128, b"DICM"
TAGS = (
    *("SOPClassUID", "Modality", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber"),
    *("SeriesDescription", "ProtocolName", "ImageType", "SequenceName", "ScanningSequence"),
    *("SequenceVariant", "EchoTime", "RepetitionTime", "InversionTime", "ContrastBolusAgent"),
    *("DiffusionBValue", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated"),
    *("ImagePositionPatient", "ImageOrientationPatient"),
)
TRUNCATED = "truncated"
GAP = 1.5  # times the usual distance: a slice is missing between two
SAME_MM = 0.01
UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


@dataclass(slots=True)
class Series:
    """The files of one series and the header of the first.

    Attributes:
        uid: its SeriesInstanceUID.
        header: tags of :data:`TAGS`; nothing that names a patient.
        files: in the order in which they were met.
        positions: where each slice lies along the normal, in mm; shorter where headers do not say.
        planes: directions of rows and columns that occur, rounded.
        faults: why single files cannot be used.
    """

    uid: str
    header: Dataset
    files: list[Path] = field(default_factory=list)
    positions: list[float] = field(default_factory=list)
    planes: set[tuple[float, ...]] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def add(self, path: Path, header: Dataset, fault: str = "") -> None:
        """Take in one more file."""
        self.files.append(path)
        if fault:
            self.faults.append(fault)
        directions = _numbers(header, "ImageOrientationPatient", 6)
        position = _numbers(header, "ImagePositionPatient", 3)
        if directions is None or position is None:
            return
        normal = np.cross(directions[:3], directions[3:])
        self.planes.add(tuple(float(value) for value in np.round(directions, 2)))
        self.positions.append(float(np.dot(normal, position)))

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
    def name(self) -> str:
        """What a person calls it: its number."""
        return f"series {self.text('SeriesNumber') or '?'}"

    @property
    def description(self) -> str:
        """What the scanner's operator called it."""
        return self.text("SeriesDescription") or self.text("ProtocolName")

    @property
    def slices(self) -> int:
        """Images in it, frames of multi-frame files included."""
        return max(len(self.files), int(self.number("NumberOfFrames") or 1))

    def fault(self) -> str | None:
        """Say why the series is not a whole volume; None where it is."""
        if self.faults:
            return f"{len(self.faults)} of {len(self.files)} files are truncated; copy them again"
        if len(self.positions) != len(self.files) or len(self.planes) != 1:
            return None
        places = np.unique(np.round(np.asarray(self.positions) / SAME_MM)) * SAME_MM
        if len(places) < len(self.positions):
            times = len(self.positions) / len(places)
            return f"{times:g} images at each place: several volumes in one series"
        steps = np.diff(places)
        if len(steps) > 1 and steps.max() > GAP * np.median(steps):
            where = int(np.argmax(steps)) + 1
            return f"a slice is missing after slice {where}; copy the series again"
        return None


def _numbers(header: Dataset, tag: str, count: int) -> NDArray[np.float64] | None:
    """Return a tag as so many numbers; None where it holds anything else."""
    try:
        numbers = np.asarray(header.get(tag), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if numbers.shape == (count,) and np.isfinite(numbers).all() else None


def read_series(paths: Iterable[Path]) -> tuple[list[Series], list[tuple[Path, str]]]:
    """Sort DICOM files into series by their headers; no pixel is read.

    Args:
        paths: files of any kind.

    Returns:
        The series, by their numbers; and files that are DICOM but not to be used, with the reason.

    Raises:
        MissingPiece: pydicom is not installed.
    """
    found: dict[str, Series] = {}
    left: list[tuple[Path, str]] = []
    for path, header, reason in _headers(paths):
        if header is None:
            left.append((path, reason))
            continue
        uid = str(header.get("SeriesInstanceUID") or "")
        if uid not in found:
            found[uid] = Series(uid, header)
        found[uid].add(path, header, reason)
    order = sorted(found.values(), key=lambda series: series.number("SeriesNumber") or 0.0)
    return order, left


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM files do, whatever its name."""
    try:
        with path.open("rb") as stream:
            stream.seek(PREAMBLE)
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


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
        if not header.get("SOPClassUID") or not header.get("SeriesInstanceUID"):
            yield path, None, "truncated or no DICOM file"
        elif not header.get("Rows"):
            yield path, None, "DICOM without an image, such as a report"
        else:
            yield path, header, TRUNCATED if cut else ""


def _left_out(error: ScanError) -> str:
    """Say why a file is not used: what is no DICOM file is no fault of anybody's."""
    too_large = "in memory" in error.reason
    return f"{error.reason}; {error.next_step}" if too_large else "truncated or no DICOM file"


def _header(path: Path) -> tuple[Any, bool]:
    """Return the tags of a file, and whether it ends before its pixels do.

    Scanners break the standard's rules for numbers all the time, and pydicom raises when a tag is
    first looked at: hence all are, and a tag that cannot be read is not there.

    Raises:
        ScanError: it is no DICOM file, is damaged, or unpacks to more than the limit.
    """
    import pydicom

    with guarded(path, expected="a DICOM file"), path.open("rb") as stream:
        _refuse_deflated_bomb(path)
        header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(TAGS))
        for tag in TAGS:
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

    if not is_dicom(path):
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
    if str(header.file_meta.get("TransferSyntaxUID", "")) not in UNCOMPRESSED:
        return 0
    tags = ("Rows", "Columns", "BitsAllocated")
    if any(header.get(tag) is None for tag in tags):
        return 0
    bits = int(np.prod([int(header.get(tag)) for tag in tags], dtype=object))
    return (
        bits * int(header.get("NumberOfFrames") or 1) * int(header.get("SamplesPerPixel") or 1) // 8
    )
