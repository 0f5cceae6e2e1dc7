"""Reading the headers of DICOM files, and sorting the files into series."""

from __future__ import annotations

import hashlib
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anomri.datasets.dicom.images import (
    GE_KIND_TAG,
    PER_FRAME,
    SHARED,
    Image,
    kind_of,
    lift_frame_tags,
    places_in,
)
from anomri.datasets.dicom.pixel_data import is_truncated
from anomri.datasets.dicom.rule_tags import SITE_TAGS
from anomri.datasets.dicom.series import Series
from anomri.datasets.dicom.volumes import DISTINGUISHING, SAME_SERIES, volumes_of
from anomri.errors import ImageTooLarge, MissingPiece, NotFetched, ScanError
from anomri.files import SLICE_SHARE, guarded, inflated_size, limit_bytes, refuse_larger

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
    *("ComplexImageComponent", "PhotometricInterpretation", "InstanceNumber", *DISTINGUISHING),
    *SITE_TAGS,
)
PATIENT = ("PatientID", "PatientBirthDate", "PatientName")
NOT_KEPT = (*PATIENT, SHARED, PER_FRAME)  # read from each file and dropped
TRUNCATED = "truncated"
BARE_STARTS = (
    (b"\x02\0", b"\0\0"), (b"\x08\0", b"\0\0"), (b"\x08\0", b"\x01\0"), (b"\x08\0", b"\x05\0"),
    (b"\x08\0", b"\x08\0"), (b"\x08\0", b"\x12\0"), (b"\x08\0", b"\x16\0"),
)  # fmt: skip
"""First group and element of DICOM data without preamble and magic."""
DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory (DICOMDIR)


def read_series(paths: Iterable[Path]) -> tuple[list[Series], list[tuple[Path, str]]]:
    """Sort DICOM files into series by their headers; pixels are compared for likely copies only.

    Args:
        paths: files of any kind.

    Returns:
        The series in the order of their numbers, and the files that are not used, with the reason.

    Raises:
        MissingPiece: pydicom is not installed.
    """
    by_key: dict[tuple[str, ...], Series] = {}
    unused: list[tuple[Path, str]] = []
    shared: dict[tuple[str, ...], Dataset] = {}
    for path, header, reason in _headers(paths):
        if header is None:
            unused.append((path, reason))
            continue
        patient, places = _patient(header), places_in(header)
        lift_frame_tags(header)
        for tag in NOT_KEPT:
            header.pop(tag, None)
        key = (patient, *(str(header.get(tag) or "") for tag in IDENTITY))
        common_header = shared.setdefault(
            (*key, kind_of(header), *_distinguishing_tags(header)), header
        )
        series = by_key.setdefault(key, Series(key[-1], common_header, patient=patient))
        uid = str(header.get("SOPInstanceUID") or "")
        series.images.append(Image(path, common_header, uid, places, reason))
    order = sorted(volumes_of(by_key.values()), key=_order)
    return order, unused


IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID")


def _order(series: Series) -> tuple[float, int]:
    return series.number("SeriesNumber") or 0.0, series.part


def _distinguishing_tags(header: Dataset) -> tuple[str, ...]:
    """Return the tags that may differ within a series and distinguish volumes."""
    return tuple(str(header.get(tag) or "") for tag in (*DISTINGUISHING, *SAME_SERIES))


def _patient(header: Dataset) -> str:
    """Return a hash of the patient's number and birth date, or of the name if there is no number.

    It is never written to disk. Names are avoided, because their spelling varies.
    """
    values = [" ".join(str(header.get(tag) or "").split()).upper() for tag in PATIENT]
    identity = values[:2] if values[0] else values
    return hashlib.sha256("\n".join(identity).encode()).hexdigest() if any(identity) else ""


def is_dicom(path: Path) -> bool:
    """Whether a file begins like a DICOM file, with or without a preamble."""
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
    """Whether bytes are DICOM data: a known first tag, then a type or a plausible length."""
    if (
        start[PREAMBLE:] == MAGIC
        or len(start) < PREAMBLE
        or (start[:2], start[2:4]) not in BARE_STARTS
    ):
        return False
    return (start[4:6].isalpha() and start[4:6].isupper()) or start[5:8] == b"\0\0\0"


def _headers(paths: Iterable[Path]) -> Iterator[tuple[Path, Dataset | None, str]]:
    try:
        import pydicom  # noqa: F401 - used below
    except ImportError as error:
        raise MissingPiece(EXTRA) from error
    for path in paths:
        if path.name == "DICOMDIR":
            continue
        try:
            header, truncated = _header(path)
        except ScanError as error:
            yield path, None, _why_unused(error)
            continue
        if _readable(header.file_meta, STORED) and header.file_meta.get(STORED) == DIRECTORY:
            continue
        if not header.get("SOPClassUID") or not header.get("SeriesInstanceUID"):
            yield path, None, "truncated or not a DICOM file"
        elif not header.get("Rows"):
            yield path, None, "DICOM without an image, such as a report"
        else:
            yield path, header, TRUNCATED if truncated else ""


def _why_unused(error: ScanError) -> str:
    """Return why a file is not used."""
    if isinstance(error, ImageTooLarge | NotFetched):
        return f"{error.reason}; {error.next_step}"
    return "truncated or not a DICOM file"


def _header(path: Path) -> tuple[Any, bool]:
    """Return the tags of a file, and whether its pixels are truncated.

    Scanners often write invalid numbers, and pydicom raises when such a tag is first accessed.
    Therefore all tags are accessed here, and unreadable ones removed.

    Raises:
        ScanError: the file is not DICOM, is damaged, or decompresses to more than the limit.
    """
    import pydicom

    with (
        guarded(path, expected="a DICOM file"),
        path.open("rb") as stream,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        _refuse_deflated_bomb(path)
        tags: list[Any] = [*TAGS, *NOT_KEPT, GE_KIND_TAG]
        header = pydicom.dcmread(
            stream, stop_before_pixels=True, specific_tags=tags, force=is_bare(path)
        )
        for tag in (*TAGS, *NOT_KEPT):
            if not _readable(header, tag):
                del header[tag]
        return header, is_truncated(stream, header)


def _readable(header: Dataset, tag: str) -> bool:
    try:
        header.get(tag)
    except Exception:  # pydicom raises various errors, depending on the type of the tag
        return False
    return True


def _refuse_deflated_bomb(path: Path) -> None:
    """Refuse deflated files that decompress to more than the limit: pydicom reads them whole.

    Raises:
        UnreadableScan: the file decompresses to more.
    """
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if not is_dicom(path) or is_bare(path):
        return
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    # The group length counts from its own end: 12 bytes after preamble and magic.
    start = PREAMBLE + len(MAGIC) + 12 + int(meta.FileMetaInformationGroupLength)
    limit = limit_bytes() // SLICE_SHARE
    size = inflated_size(path.read_bytes()[start:], limit=limit, wbits=-zlib.MAX_WBITS)
    refuse_larger(path, size, share=SLICE_SHARE)
