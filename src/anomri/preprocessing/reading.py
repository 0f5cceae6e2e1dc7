"""Files and nibabel images to arrays in the file's own axis order, or one clear refusal."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from numpy.typing import NDArray

from anomri.errors import UnreadableScan, WrongShape
from anomri.input_files import (
    COPY_AGAIN,
    MAX_DEFLATE_RATIO,
    guarded,
    refuse_larger,
    refuse_pointer,
)
from anomri.preprocessing.in_memory import ImageSource, native_of
from anomri.preprocessing.native import (
    Native,
    checked_affine,
    refuse_constant,
    spatial_shape,
)
from anomri.preprocessing.not_finite import as_background, refuse_not_finite
from anomri.preprocessing.orientation import oriented
from anomri.preprocessing.pictures import picture_files, read_picture_labels, read_pictures
from anomri.preprocessing.slices import SPACING_UNKNOWN, read_slice_labels, read_slices
from anomri.scan import Affine, Grid, Labels

DICOM_MAGIC = slice(128, 132)
GZIPPED = (".gz", ".mgz")
GZIP_MAGIC = b"\x1f\x8b"
PIECE = 1 << 14  # of a packed file, unpacked at once
NO_SIZE = "should be non-zero"  # nibabel's words for a voxel size of 0, which it takes for 1
HEADER_ROOM = 1 << 20  # bytes for header and extensions, beside the voxels
LARGEST_HEADER = 16 << 20  # extensions of more are refused; a whole DICOM header has some 0.1 MB
FLOAT32 = 4  # bytes of a voxel as it is worked on
FIRST_BYTES = 544  # the header of NIfTI-2, the longer one
VOXELS_AT = {348: (108, "f4"), 540: (168, "i8")}  # size of a NIfTI header -> where they begin

log = logging.getLogger(__name__)


def read_native(
    path: Path, contrast: str = "", *, orientation: str = ""
) -> tuple[NDArray[np.float32], Grid]:
    """Read one scan in its file's own axis order.

    Args:
        path: NIfTI, Analyze or MGH file, or a folder of TIFF slices.
        contrast: which channel to take from a folder of TIFF slices.
        orientation: where the axes point, such as ``RAS``, if the header does not say so.

    Returns:
        (I, J, K) values with the header's scaling applied, and where they lie.

    Raises:
        UnreadableScan: missing, truncated, no image, or not to be opened.
        WrongShape: not three axes, colour, too thin or absurdly large.
        BadIntensities: no finite number, or the same in every voxel.
    """
    native = read_image(path, contrast, orientation=orientation)
    return native.values, native.grid


def read_labels(path: Path) -> tuple[Labels, Grid]:
    """Read a segmentation in its file's own axis order; label numbers are kept.

    Raises:
        ScanError: as :func:`read_native`, or values that are no label numbers.
    """
    native = read_segmentation(path)
    return native.labels(), native.grid


def read_image(source: ImageSource, contrast: str = "", *, orientation: str = "") -> Native:
    """Read a scan from a path or an image in memory; see :func:`read_native`.

    Voxels that are no numbers hold the background's value afterwards, see
    :func:`~anomri.preprocessing.not_finite.as_background`.
    """
    with guarded(_name_of(source, contrast), expected="a whole image"):
        native = native_of(source, contrast or "image")
        if native is None and isinstance(source, SpatialImage):
            native = _voxels(source, _name_in_memory(source, contrast))
        elif native is None and (path := Path(source)).is_dir():  # type: ignore[arg-type]
            native = read_pictures(path) if picture_files(path) else read_slices(path, contrast)
        elif native is None:
            native = _read_file(path)
        native = as_background(oriented(native, orientation))
        refuse_constant(native.values, native.name)
    return native


def read_segmentation(source: ImageSource, *, orientation: str = "") -> Native:
    """Read a mask or a segmentation from a path or an image in memory; all zero is allowed."""
    with guarded(_name_of(source, "mask"), expected="a whole image of labels"):
        native = native_of(source, "mask")
        if native is None and isinstance(source, SpatialImage):
            native = _voxels(source, _name_in_memory(source, "mask"))
        elif native is None and (path := Path(source)).is_dir():  # type: ignore[arg-type]
            return read_picture_labels(path) if picture_files(path) else read_slice_labels(path)
        elif native is None:
            native = _read_file(path)
        refuse_not_finite(native)
    return oriented(native, orientation) if orientation else native


def _name_of(source: ImageSource, role: str) -> str:
    """Return what to call a source in an error, whatever it is."""
    if isinstance(source, SpatialImage):
        return _name_in_memory(source, role)
    return Path(source).name if isinstance(source, str | PathLike) else role or "image"


def _read_file(path: Path) -> Native:
    _refuse_early(path)
    with _reading(path.name), np.errstate(all="ignore"), _mended() as said:
        image: Any = _load(path)
    if isinstance(image, nib.Nifti1Image) and getattr(image.dataobj, "offset", None) == 0:
        return _with_offset(path, image)
    _shape(image, path.name)
    if path.suffix.lower() in GZIPPED and isinstance(image, nib.Nifti1Image | nib.MGHImage):
        size = _voxel_bytes(image)
        with _reading(path.name), _mended():
            image = image.from_bytes(_unpacked(path, size + _room_of(image)))
    native = _voxels(image, path.name)
    if said:
        log.debug("%s: nibabel: %s", path.name, "; ".join(said))
    if native.grid.sform_code == 0 and any(NO_SIZE in text for text in said):
        return replace(native, spacing_known=False, notes=(*native.notes, SPACING_UNKNOWN))
    return native


def _with_offset(path: Path, image: Any) -> Native:
    """Read a single file whose header lets the voxels begin at byte 0, within the header itself.

    They begin behind the header where the file is as long as that takes, and nothing else stands
    between.
    """
    shape, header = _shape(image, path.name), image.header.copy()
    size = int(np.prod(shape)) * image.get_data_dtype().itemsize
    with _reading(path.name):
        packed = path.suffix.lower() in GZIPPED
        content = _unpacked(path, size + HEADER_ROOM) if packed else path.read_bytes()
    first = int(header.single_vox_offset)
    if len(content) != first + size or any(content[header.sizeof_hdr : first]):
        raise UnreadableScan(
            path.name,
            expected="a header that says where the voxels begin",
            got="vox_offset 0, and other bytes than header and voxels",
            next_step=COPY_AGAIN,
        )
    header.set_data_offset(first)
    whole = image.from_bytes(header.binaryblock + content[header.sizeof_hdr :])
    native = _voxels(whole, path.name)
    note = (
        f"{path.name}: vox_offset is 0: the voxels were read from byte {first}, behind the header"
    )
    return replace(native, notes=(*native.notes, note))


def _load(path: Path) -> Any:
    """Open an image; nibabel looks for ``.nii`` and ``.NII``, and not for ``.Nii``."""
    try:
        return nib.load(path)
    except FileNotFoundError:
        files = {"image": nib.FileHolder(filename=str(path))}
        try:
            return nib.Nifti1Image.from_file_map(files)
        except (ImageFileError, HeaderDataError):
            return nib.Nifti2Image.from_file_map(files)


@contextmanager
def _mended() -> Iterator[list[str]]:
    """Collect what nibabel says of a header that it mends; it would print it without a name."""
    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        said.append(record.getMessage())
        return False

    logger = logging.getLogger("nibabel.global")
    logger.addFilter(keep)
    try:
        yield said
    finally:
        logger.removeFilter(keep)


def _room_of(image: Any) -> int:
    """Return the bytes before the voxels; converters may embed all of a DICOM header."""
    said = int(getattr(image.dataobj, "offset", 0))
    return min(max(said, HEADER_ROOM), LARGEST_HEADER)


def _unpacked(path: Path, limit: int) -> bytes:
    """Return what a gzip file holds, at most ``limit`` bytes, its checksum verified.

    nibabel stops reading before the checksum, so that damage would pass for a scan.
    """
    packed, at, parts = memoryview(path.read_bytes()), 0, []
    while bytes(packed[at : at + 2]) == GZIP_MAGIC and limit > 0:
        member = zlib.decompressobj(wbits=31)
        end = at
        # In pieces: each member copies what is left of its piece, and there may be many members.
        while not member.eof and limit > 0:
            if end == len(packed):
                raise EOFError("the file ends before its data do")
            piece: bytes | memoryview = packed[end : end + PIECE]
            end += len(piece)
            while piece and not member.eof and limit > 0:
                parts.append(member.decompress(piece, limit))
                limit -= len(parts[-1])
                piece = member.unconsumed_tail
        at = end - len(member.unused_data)
    return b"".join(parts)


def _refuse_early(path: Path) -> None:
    """Raise before nibabel is asked, where its own message would not help."""
    name = path.name
    if not path.exists():
        raise UnreadableScan(
            name, expected="a file", got="nothing at that path", next_step="check the path"
        )
    with _reading(name), path.open("rb") as stream:
        start = stream.read(DICOM_MAGIC.stop)
    if not start:
        raise UnreadableScan(name, expected="an image", got="an empty file", next_step=COPY_AGAIN)
    refuse_pointer(name, start)
    if start.startswith(GZIP_MAGIC) != name.lower().endswith(GZIPPED):
        _refuse_ending(name, packed=start.startswith(GZIP_MAGIC))
    _refuse_long_header(path)
    if start[DICOM_MAGIC] == b"DICM" or path.suffix.lower() in (".dcm", ".ima"):
        raise UnreadableScan(
            name,
            expected="NIfTI",
            got="a DICOM file",
            next_step="give the folder of its series as the scan, or convert it with dcm2niix",
        )


def _refuse_ending(name: str, *, packed: bool) -> None:
    if not name.lower().endswith((".nii", ".nii.gz")):
        return
    right = f"{name}.gz" if packed else name[: -len(".gz")]
    raise UnreadableScan(
        name,
        expected="gzip data in a file called .gz, and in no other",
        got=f"{'' if packed else 'no '}gzip data",
        next_step=f"rename it to {right}; if that does not help, copy or download it again",
    )


def _refuse_long_header(path: Path) -> None:
    """Raise where a NIfTI header claims more than it may: nibabel would read it all.

    Raises:
        UnreadableScan: voxels begin later than :data:`LARGEST_HEADER`.
    """
    packed = path.suffix.lower() in GZIPPED
    with _reading(path.name), gzip.open(path) if packed else path.open("rb") as stream:
        first = stream.read(FIRST_BYTES)
    for order in "<>":
        size = int.from_bytes(first[:4], "little" if order == "<" else "big")
        place, kind = VOXELS_AT.get(size, (0, ""))
        if not kind or len(first) < place + 8:
            continue
        begin = float(np.frombuffer(first, f"{order}{kind}", count=1, offset=place)[0])
        if begin > LARGEST_HEADER:
            raise UnreadableScan(
                path.name,
                expected=f"a header of at most {LARGEST_HEADER >> 20} MiB",
                got=f"one that says its voxels begin at byte {begin:.6g}",
                next_step=COPY_AGAIN,
            )


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Read one file inside a guard, with words for what is wrong with NIfTI and gzip data."""
    with guarded(name, expected="a whole NIfTI image"):
        try:
            yield
        except gzip.BadGzipFile as error:
            raise _unreadable(name, "damaged gzip data", expected="gzip data") from error
        except ImageFileError as error:
            raise _unreadable(name, "a file that is not an image") from error
        except HeaderDataError as error:
            raise _unreadable(name, f"a damaged header ({str(error)[:120]})") from error


def _unreadable(name: str, got: str, *, expected: str = "a whole NIfTI image") -> UnreadableScan:
    return UnreadableScan(name, expected=expected, got=got, next_step=COPY_AGAIN)


def _voxels(image: Any, name: str) -> Native:
    shape = _shape(image, name)
    affine = checked_affine(image.affine, name)
    with _reading(name), np.errstate(all="ignore"):
        values = image.get_fdata(dtype=np.float32, caching="unchanged").reshape(shape)
    codes, qform = _codes(image, affine)
    grid = Grid(shape=shape, affine=affine, sform_code=codes[0], qform_code=codes[1], qform=qform)
    return Native(name, values, grid, orientation_known=_says_orientation(image, codes))


def _shape(image: Any, name: str) -> tuple[int, int, int]:
    """Return the three axes that a header claims, if claim, type and file size can be true."""
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
    """Compare what the header claims with the limit and the file, before memory is asked for."""
    if nib.is_proxy(image.dataobj):
        copies = 2 if name.lower().endswith(GZIPPED) else 1  # unpacked in pieces, then joined
        refuse_larger(name, copies * _voxel_bytes(image) + _voxel_bytes(image, FLOAT32))
    held = image.file_map.get("image") if image.file_map else None
    filename = getattr(held, "filename", None)
    if filename is None or not nib.is_proxy(image.dataobj):
        return
    path = Path(fspath(filename))
    claimed = _voxel_bytes(image)
    size = path.stat().st_size
    packed = path.suffix.lower() in GZIPPED
    if claimed <= (size * MAX_DEFLATE_RATIO if packed else size):
        return
    raise UnreadableScan(
        name,
        expected=f"{claimed} bytes of voxels, as its header says",
        got=f"a file of {size} bytes",
        next_step=COPY_AGAIN,
    )


def _voxel_bytes(image: Any, itemsize: int = 0) -> int:
    """Return how many bytes the voxels take, in the file or with another size of each."""
    count = int(np.prod(image.shape, dtype=object))
    return count * (itemsize or int(image.get_data_dtype().itemsize))


def _codes(image: Any, affine: Affine) -> tuple[tuple[int, int], Affine | None]:
    """Return sform and qform codes, and the qform where it says something else."""
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


def _says_orientation(image: Any, codes: tuple[int, int]) -> bool:
    """Tell whether a header says how the head lies; Analyze's says so in a .mat file only."""
    if isinstance(image, nib.Nifti1Pair):
        return max(codes) > 0
    if not isinstance(image, nib.AnalyzeImage):
        return True
    beside = getattr((image.file_map or {}).get("mat"), "filename", None)
    return beside is not None and Path(fspath(beside)).is_file()


def _name_in_memory(image: Any, role: str) -> str:
    held = image.file_map.get("image") if image.file_map else None
    filename = getattr(held, "filename", None)
    return Path(fspath(filename)).name if filename else f"{role or 'image'} in memory"
