"""Files that nibabel reads (NIfTI, Analyze, MGH) to arrays in their own axis order."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import fspath
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from anomri.errors import UnreadableScan, WrongShape
from anomri.files import COPY_AGAIN, MAX_DEFLATE_RATIO, refuse_larger
from anomri.preprocessing.reading.file_checks import MAX_HEADER_BYTES, check_file, nifti_errors
from anomri.preprocessing.reading.gzip_files import decompress, has_gzip_ending
from anomri.preprocessing.reading.raw_image import (
    SPACING_UNKNOWN,
    RawImage,
    checked_affine,
    spatial_shape,
)
from anomri.scan import Affine, Grid, Note, NoteKind

ZERO_VOXEL_SIZE = "should be non-zero"  # nibabel's warning on a voxel size of 0, which becomes 1
HEADER_BYTES = 1 << 20  # room for header and extensions, in addition to the voxels
FLOAT32_BYTES = 4

# Errors whose message or kind tells the reason, see `nifti_errors`.
DESCRIBED_FAILURES = (ImageFileError, HeaderDataError, OSError, EOFError, MemoryError, zlib.error)

log = logging.getLogger(__name__)


def read_nifti(path: Path) -> RawImage:
    """Read a NIfTI, Analyze or MGH file.

    Raises:
        UnreadableScan: missing, damaged, truncated, or not an image.
        WrongShape: not one number per voxel on three axes, or absurdly large.
    """
    check_file(path)
    with nifti_errors(path.name), np.errstate(all="ignore"), _nibabel_warnings() as warnings:
        image: Any = _loaded(path)
    if isinstance(image, nib.Nifti1Image) and getattr(image.dataobj, "offset", None) == 0:
        return _read_behind_header(path, image)
    _checked_shape(image, path.name)
    if has_gzip_ending(path.name) and isinstance(image, nib.Nifti1Image | nib.MGHImage):
        size = _voxel_bytes(image)
        with nifti_errors(path.name), _nibabel_warnings():
            image = image.from_bytes(decompress(path, size + _max_header_bytes(image)))
    raw = raw_image_of_nibabel(image, path.name)
    if warnings:
        log.debug("%s: nibabel: %s", path.name, "; ".join(warnings))
    if raw.grid.sform_code == 0 and any(ZERO_VOXEL_SIZE in text for text in warnings):
        return replace(raw, spacing_known=False, notes=(*raw.notes, SPACING_UNKNOWN))
    return raw


def _read_behind_header(path: Path, image: Any) -> RawImage:
    """Read a single file whose header claims that the voxels begin at byte 0.

    They are taken to follow the header if the file's length fits and nothing else lies between.
    """
    shape, header = _checked_shape(image, path.name), image.header.copy()
    size = int(np.prod(shape)) * image.get_data_dtype().itemsize
    with nifti_errors(path.name):
        packed = has_gzip_ending(path.name)
        content = decompress(path, size + HEADER_BYTES) if packed else path.read_bytes()
    first = int(header.single_vox_offset)
    if len(content) != first + size or any(content[header.sizeof_hdr : first]):
        raise UnreadableScan(
            path.name,
            expected="a header that states where the voxels begin",
            got="vox_offset 0 in a file with more than header and voxels",
            next_step=COPY_AGAIN,
        )
    header.set_data_offset(first)
    whole = image.from_bytes(header.binaryblock + content[header.sizeof_hdr :])
    raw = raw_image_of_nibabel(whole, path.name)
    text = (
        f"{path.name}: vox_offset is 0: the voxels were read from byte {first}, behind the header"
    )
    return replace(raw, notes=(*raw.notes, Note(NoteKind.GEOMETRY, text)))


def _loaded(path: Path) -> Any:
    """Open an image; nibabel reads its header and extensions, and fails at them in many ways.

    Raises:
        UnreadableScan: a failure that nibabel does not describe.
    """
    try:
        return _load(path)
    except DESCRIBED_FAILURES:
        raise
    except Exception as error:
        log.debug("%s: nibabel failed", path.name, exc_info=True)
        raise UnreadableScan(
            path.name,
            expected="a complete NIfTI or MGH image",
            got="a damaged header or header extension",
            next_step=COPY_AGAIN,
        ) from error


def _load(path: Path) -> Any:
    """Open an image; nibabel itself knows the endings ``.nii`` and ``.NII``, but not ``.Nii``."""
    try:
        return nib.load(path)
    except FileNotFoundError:
        files = {"image": nib.FileHolder(filename=str(path))}
        try:
            return nib.Nifti1Image.from_file_map(files)
        except (ImageFileError, HeaderDataError):
            return nib.Nifti2Image.from_file_map(files)


@contextmanager
def _nibabel_warnings() -> Iterator[list[str]]:
    """Collect nibabel's warnings on repaired headers; it would log them without the file name."""
    warnings: list[str] = []

    def collect(record: logging.LogRecord) -> bool:
        warnings.append(record.getMessage())
        return False

    logger = logging.getLogger("nibabel.global")
    logger.addFilter(collect)
    try:
        yield warnings
    finally:
        logger.removeFilter(collect)


def _max_header_bytes(image: Any) -> int:
    """Return the room before the voxels; converters may embed a whole DICOM header."""
    offset = int(getattr(image.dataobj, "offset", 0))
    return min(max(offset, HEADER_BYTES), MAX_HEADER_BYTES)


def raw_image_of_nibabel(image: Any, name: str) -> RawImage:
    """Return the values and the grid of a nibabel image.

    Args:
        image: any spatial image of nibabel.
        name: its name, for errors.

    Raises:
        UnreadableScan: truncated, or without a usable affine.
        WrongShape: not one number per voxel on three axes, or absurdly large.
    """
    shape = _checked_shape(image, name)
    affine = checked_affine(image.affine, name)
    with nifti_errors(name), np.errstate(all="ignore"):
        values = image.get_fdata(dtype=np.float32, caching="unchanged").reshape(shape)
    codes, qform = _codes_and_qform(image, affine)
    grid = Grid(shape=shape, affine=affine, sform_code=codes[0], qform_code=codes[1], qform=qform)
    return RawImage(name, values, grid, orientation_known=_states_orientation(image, codes))


def _checked_shape(image: Any, name: str) -> tuple[int, int, int]:
    """Return the header's three axes, if shape, data type and file size are plausible."""
    if len(image.shape) == 0 or min(image.shape) < 1:
        raise WrongShape(name, expected="voxels", got="an image without any", next_step=COPY_AGAIN)
    shape = spatial_shape(image.shape, name)
    _refuse_bad_type(image.get_data_dtype(), name)
    _refuse_false_size(image, name)
    return shape


def _refuse_bad_type(dtype: np.dtype[Any], name: str) -> None:
    if dtype.fields is None and dtype.kind in "buif":
        return
    raise WrongShape(
        name,
        expected="one number per voxel",
        got="colours (RGB)" if dtype.fields else f"values of type {dtype}",
        next_step="give the scan itself, not a coloured overlay or a complex image",
    )


def _refuse_false_size(image: Any, name: str) -> None:
    """Compare the size that a header claims with the limit and the file, before allocation."""
    if nib.is_proxy(image.dataobj):
        copies = 2 if has_gzip_ending(name) else 1  # decompressed in pieces, then joined
        refuse_larger(name, copies * _voxel_bytes(image) + _voxel_bytes(image, FLOAT32_BYTES))
    filename = _file_of(image, "image")
    if filename is None or not nib.is_proxy(image.dataobj):
        return
    path = Path(fspath(filename))
    claimed = _voxel_bytes(image)
    size = path.stat().st_size
    packed = has_gzip_ending(path.name)
    if claimed <= (size * MAX_DEFLATE_RATIO if packed else size):
        return
    raise UnreadableScan(
        name,
        expected=f"{claimed} bytes of voxels, as its header states",
        got=f"a file of {size} bytes",
        next_step=COPY_AGAIN,
    )


def _voxel_bytes(image: Any, itemsize: int = 0) -> int:
    """Return the bytes of all voxels, with the file's data type or another item size."""
    count = int(np.prod(image.shape, dtype=object))
    return count * (itemsize or int(image.get_data_dtype().itemsize))


def _codes_and_qform(image: Any, affine: Affine) -> tuple[tuple[int, int], Affine | None]:
    """Return sform and qform codes, and the qform where it differs from the affine."""
    if not isinstance(image, nib.Nifti1Pair):
        return (1, 0), None
    codes = int(image.header["sform_code"]), int(image.header["qform_code"])
    if codes[1] == 0:
        return codes, None
    try:
        with np.errstate(all="ignore"):
            qform = np.asarray(image.header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError):
        return (codes[0], 0), None
    differs = np.isfinite(qform).all() and not np.allclose(qform, affine, atol=1e-3)
    return codes, qform if differs else None


def _states_orientation(image: Any, codes: tuple[int, int]) -> bool:
    """Return whether a header states the orientation; for Analyze only a .mat file does."""
    if isinstance(image, nib.Nifti1Pair):
        return max(codes) > 0
    if not isinstance(image, nib.AnalyzeImage):
        return True
    mat_file = _file_of(image, "mat")
    return mat_file is not None and Path(fspath(mat_file)).is_file()


def name_in_memory(image: Any, role: str) -> str:
    """Return the file name of a nibabel image, or its role where it has no file."""
    filename = _file_of(image, "image")
    return Path(fspath(filename)).name if filename else f"{role or 'image'} in memory"


def _file_of(image: Any, kind: str) -> Any:
    """Return the path of one of an image's files; None for images in memory."""
    return getattr((image.file_map or {}).get(kind), "filename", None)
