"""NRRD files, read by SimpleITK after a check of their headers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK

from anomri.errors import UnreadableScan, WrongShape
from anomri.files import COPY_AGAIN, MAX_DEFLATE_RATIO, guarded, refuse_larger
from anomri.preprocessing.reading.file_checks import check_file
from anomri.preprocessing.reading.gzip_files import decompress
from anomri.preprocessing.reading.in_memory import raw_image_of
from anomri.preprocessing.reading.raw_image import SPACING_UNKNOWN, RawImage, spatial_shape

ENDING = ".nrrd"
MAGIC = b"NRRD"
MAX_HEADER_BYTES = 1 << 20
DETACHED = ("data file", "datafile")
EXPECTED = "a complete NRRD image"
UNCOMPRESSED = ("raw", "")
BYTES_PER_VOXEL = {SimpleITK.sitkUInt8: 1, SimpleITK.sitkInt8: 1} | {
    **{SimpleITK.sitkUInt16: 2, SimpleITK.sitkInt16: 2, SimpleITK.sitkFloat32: 4},
    **{SimpleITK.sitkUInt32: 4, SimpleITK.sitkInt32: 4, SimpleITK.sitkFloat64: 8},
    **{SimpleITK.sitkUInt64: 8, SimpleITK.sitkInt64: 8},
}


def read_nrrd(path: Path) -> RawImage:
    """Read a NRRD file with its voxels in it.

    Raises:
        UnreadableScan: missing, damaged, truncated, or with its voxels in another file.
        WrongShape: not one number per voxel on three axes, or absurdly large.
    """
    check_file(path)
    with guarded(path, expected=EXPECTED):
        header, first = _header(path)
        _refuse_detached(path, header)
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("NrrdImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        size = _check_size(path, reader, header)
        _verify(path, first, size)
        raw = raw_image_of(reader.Execute(), path.name)
    assert raw is not None  # noqa: S101 - an image in memory always gives one
    has_spacing = {"spacings", "space directions"} & header.keys()
    raw = replace(raw, orientation_known="space" in header)
    if has_spacing:
        return raw
    return replace(raw, spacing_known=False, notes=(*raw.notes, SPACING_UNKNOWN))


def _verify(path: Path, first: int, size: int) -> None:
    """Compare gzip data with their checksum and the header, which ITK does not do."""
    unpacked = len(decompress(path, size + 1, start=first))
    if unpacked not in (0, size):  # 0: not gzip data
        raise _refusal(path, "gzip data of another size than its header states")


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields of the header, in lower case, and where the voxels begin."""
    with path.open("rb") as stream:
        start = stream.read(MAX_HEADER_BYTES)
    if not start.startswith(MAGIC):
        raise _refusal(path, "a file of another kind")
    end = re.search(rb"\r?\n\r?\n", start)
    if end is None:
        raise _refusal(path, "a header without an end")
    lines = start[: end.start()].decode("latin-1").splitlines()
    fields = (line.partition(": ") for line in lines if not line.startswith("#"))
    header = {name.strip().lower(): value.strip().lower() for name, _, value in fields}
    return header, end.end()


def _refuse_detached(path: Path, header: dict[str, str]) -> None:
    """Refuse a header that names another file: it may be anywhere on this machine."""
    if any(field in header for field in DETACHED):
        raise UnreadableScan(
            path,
            expected="a NRRD file with its voxels in it",
            got="a header that refers to another file",
            next_step="save it as one .nrrd file, or as NIfTI",
        )


def _check_size(path: Path, reader: SimpleITK.ImageFileReader, header: dict[str, str]) -> int:
    """Return the bytes of the voxels, if the limit and the file allow them."""
    if reader.GetPixelID() not in BYTES_PER_VOXEL:
        raise WrongShape(
            path,
            expected="one number per voxel",
            got=f"{reader.GetNumberOfComponents()} numbers per voxel, or complex ones",
            next_step="save the volume you mean to a file of its own",
        )
    shape = spatial_shape(tuple(reader.GetSize()), path.name)
    voxels = int(np.prod(shape, dtype=object))
    claimed = voxels * BYTES_PER_VOXEL[reader.GetPixelID()]
    refuse_larger(path.name, claimed + 4 * voxels)
    size = path.stat().st_size
    packed = header.get("encoding", "") not in UNCOMPRESSED
    if claimed > size * (MAX_DEFLATE_RATIO if packed else 1):
        raise _refusal(path, f"a file of {size} bytes that states {claimed} bytes of voxels")
    return claimed


def _refusal(path: Path, got: str) -> UnreadableScan:
    return UnreadableScan(path, expected=EXPECTED, got=got, next_step=COPY_AGAIN)
