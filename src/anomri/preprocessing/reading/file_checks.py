"""Checks of image files before nibabel opens them, where its own errors would not help."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from anomri.errors import UnreadableScan
from anomri.files import COPY_AGAIN, guarded, half_of_pair, partner_of, refuse_pointer
from anomri.preprocessing.reading.gzip_files import GZIP_MAGIC, has_gzip_ending

DICOM_MAGIC = slice(128, 132)
MAX_HEADER_BYTES = 16 << 20  # with extensions; a whole DICOM header has some 0.1 MB
FIRST_BYTES = 544  # the header of NIfTI-2, the longer one
VOX_OFFSET = {348: (108, "f4"), 540: (168, "i8")}  # size of a NIfTI header -> position and type
SINGLE_FILE = {348: (344, b"n+1"), 540: (4, b"n+2")}  # -> position and begin of its magic


def check_file(path: Path) -> None:
    """Refuse files that are certain not to be readable images.

    Raises:
        UnreadableScan: missing, empty, a pointer of git-lfs or git-annex, DICOM, with an ending
            that contradicts its content, or with an absurdly long header.
    """
    name = path.name
    if half_of_pair(path):
        _check_partner(path)
    if not path.exists():
        raise UnreadableScan(
            name, expected="a file", got="nothing at that path", next_step="check the path"
        )
    with nifti_errors(name), path.open("rb") as stream:
        start = stream.read(DICOM_MAGIC.stop)
    if not start:
        raise UnreadableScan(name, expected="an image", got="an empty file", next_step=COPY_AGAIN)
    refuse_pointer(name, start)
    if start.startswith(GZIP_MAGIC) != has_gzip_ending(name):
        _refuse_ending(name, packed=start.startswith(GZIP_MAGIC))
    _check_voxel_offset(path)
    if start[DICOM_MAGIC] == b"DICM" or path.suffix.lower() in (".dcm", ".ima"):
        raise UnreadableScan(
            name,
            expected="NIfTI",
            got="a DICOM file",
            next_step="give the folder of its series as the scan, or convert it with dcm2niix",
        )


def _check_partner(path: Path) -> None:
    """Refuse one file of a pair if the other one is missing, empty or a pointer."""
    partner = partner_of(path)
    if partner is None:
        raise UnreadableScan(
            path.name,
            expected="a pair of .hdr and .img files",
            got="one of them",
            next_step="put the other one beside it",
        )
    with nifti_errors(partner.name), partner.open("rb") as stream:
        start = stream.read(DICOM_MAGIC.stop)
    if not start:
        raise UnreadableScan(
            partner.name, expected="an image", got="an empty file", next_step=COPY_AGAIN
        )
    refuse_pointer(partner.name, start)


@contextmanager
def nifti_errors(name: str) -> Iterator[None]:
    """Turn the errors of reading a NIfTI file into an ``UnreadableScan`` with its name."""
    with guarded(name, expected="a complete NIfTI image"):
        try:
            yield
        except gzip.BadGzipFile as error:
            raise _unreadable(name, "damaged gzip data", expected="gzip data") from error
        except ImageFileError as error:
            raise _unreadable(name, "a file that is not an image") from error
        except HeaderDataError as error:
            raise _unreadable(name, f"a damaged header ({str(error)[:120]})") from error
        except OSError as error:
            if error.errno is not None:  # of the system, not nibabel's "Expected N bytes, got M"
                raise
            raise _unreadable(name, "fewer voxels than its header states") from error


def _unreadable(name: str, got: str, *, expected: str = "a complete NIfTI image") -> UnreadableScan:
    return UnreadableScan(name, expected=expected, got=got, next_step=COPY_AGAIN)


def _refuse_ending(name: str, *, packed: bool) -> None:
    if not name.lower().endswith((".nii", ".nii.gz")):
        return
    right = f"{name}.gz" if packed else name[: -len(".gz")]
    raise UnreadableScan(
        name,
        expected="gzip data in files named .gz, and only there",
        got=f"{'' if packed else 'no '}gzip data",
        next_step=f"rename it to {right}; if that does not help, copy or download it again",
    )


def _check_voxel_offset(path: Path) -> None:
    """Refuse a NIfTI header that does not state where its voxels begin.

    With a huge offset nibabel would read all before it; with the offset 0, which is read behind
    the header where nothing lies between, it takes voxels for a header extension.
    """
    packed = has_gzip_ending(path.name)
    with nifti_errors(path.name), gzip.open(path) if packed else path.open("rb") as stream:
        first = stream.read(FIRST_BYTES)
    for order in "<>":
        size = int.from_bytes(first[:4], "little" if order == "<" else "big")
        position, kind = VOX_OFFSET.get(size, (0, ""))
        if not kind or len(first) < position + 8:
            continue
        offset = float(np.frombuffer(first, f"{order}{kind}", count=1, offset=position)[0])
        if offset > MAX_HEADER_BYTES:
            raise UnreadableScan(
                path.name,
                expected=f"a header of at most {MAX_HEADER_BYTES >> 20} MiB",
                got=f"one that says its voxels begin at byte {offset:.6g}",
                next_step=COPY_AGAIN,
            )
        if offset == 0 and _has_extension(first, size):
            raise UnreadableScan(
                path.name,
                expected="a header that states where the voxels begin",
                got="vox_offset 0 in a file with a header extension",
                next_step="convert it again, or set vox_offset to the first byte of the voxels",
            )


def _has_extension(first: bytes, size: int) -> bool:
    """Whether a header and its voxels are one file, with an extension between them."""
    position, magic = SINGLE_FILE[size]
    return first.startswith(magic, position) and any(first[size : size + 1])
