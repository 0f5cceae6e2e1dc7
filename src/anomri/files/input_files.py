"""Reading the user's files: errors that name the file, and a limit on memory.

Every reader of scans, slices and headers works inside :func:`guarded`: whatever a library raises
for damaged data becomes an :class:`~anomri.errors.UnreadableScan` that names the file, so that the
other scans of a data set are processed. The size declared in a header is compared with the file
and the limit before memory is allocated.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anomri.errors import AnomriError, ImageTooLarge, NotFetched, UnreadableScan, UsageError

if TYPE_CHECKING:
    import tifffile

LIMIT_VARIABLE = "ANOMRI_MAX_IMAGE_GB"
DEFAULT_LIMIT_GB = 2.0  # a scan of 512 x 512 x 512 voxels takes 0.8
SLICE_SHARE = 16  # a slice, or the header of a DICOM file, may take a 16th of the limit
COPY_AGAIN = "copy or download the file again and check that it opens in a viewer"
MAX_DEFLATE_RATIO = 1040  # DEFLATE reaches 1032:1 at most
CHUNK_BYTES = 1 << 20
POINTERS = {  # first bytes of files that stand for data that were not downloaded
    b"version https://git-lfs.github.com/spec/": ("git-lfs", "git lfs pull"),
    b"/annex/objects/": ("git-annex", "git annex get` or `datalad get"),
    b"\\annex\\objects\\": ("git-annex", "git annex get` or `datalad get"),
}
DEFLATE_TIFF = (8, 32946)  # the compression has two numbers
UNCOMPRESSED_TIFF = 1

log = logging.getLogger(__name__)


def limit_bytes() -> int:
    """Return the memory limit of one image, from the environment or the default.

    Raises:
        UsageError: :data:`LIMIT_VARIABLE` is not a number above 0.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        gigabytes = float(text) if text else DEFAULT_LIMIT_GB
        valid = 0 < gigabytes < float(1 << 20)
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(
            f"{LIMIT_VARIABLE}='{text}': expected a number of GB above 0. "
            f"Next: set it to {DEFAULT_LIMIT_GB:g}."
        )
    return int(gigabytes * (1 << 30))


def refuse_larger(name: str | Path, size: int, *, share: int = 1) -> None:
    """Refuse an image that would take more memory than the limit.

    Args:
        name: name of the file, for the error.
        size: bytes in memory, as declared in its header.
        share: divisor of the limit.

    Raises:
        ImageTooLarge: the image is larger.
    """
    limit = limit_bytes() // share
    if size <= limit:
        return
    needed = math.ceil(size * share / (1 << 30))
    raise ImageTooLarge(
        name,
        expected=f"an image of at most {_formatted(limit)} in memory",
        got=f"one of {_formatted(size)} according to its header",
        next_step=f"check the file; if it is in order, set {LIMIT_VARIABLE}={needed} in the "
        f"environment or run `anomri --max-image-gb {needed} ...`",
    )


@contextmanager
def guarded(
    file: str | Path, *, expected: str = "a complete image", next_step: str = COPY_AGAIN
) -> Iterator[None]:
    """Turn any error raised while reading a user's file into :class:`UnreadableScan`.

    Readers fail at damaged headers in many undocumented ways. Their warnings do not name the file
    and are suppressed.

    Args:
        file: the file being read: its path, or its name alone.
        expected: what it should be, for the error.
        next_step: what to do if it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except AnomriError:
        raise
    except PermissionError as error:
        raise UnreadableScan(
            file,
            expected="permission to read it",
            got="none",
            next_step="change its permissions, for example with chmod u+r",
        ) from error
    except Exception as error:
        log.debug("%s: reading failed", Path(file).name, exc_info=True)
        if isinstance(file, Path):
            refuse_pointer(file.name, _first_bytes(file))
        got = describe_failure(error)
        raise UnreadableScan(file, expected=expected, got=got, next_step=next_step) from error


def refuse_pointer(name: str, start: bytes) -> None:
    """Refuse a file that git-lfs or git-annex would replace by the data.

    Args:
        name: name of the file, for the error.
        start: its first bytes.

    Raises:
        NotFetched: the file is such a pointer.
    """
    for beginning, (tool, command) in POINTERS.items():
        if start.startswith(beginning):
            raise NotFetched(
                name,
                expected="an image",
                got=f"a pointer of {tool} in its place: the data were not downloaded",
                next_step=f"fetch them with `{command}` in the data set's folder",
            )


def _first_bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(max(map(len, POINTERS)))
    except OSError:
        return b""


def describe_failure(error: Exception) -> str:
    """Describe an error without the paths in the library's message."""
    if isinstance(error, EOFError | zlib.error):
        return "a truncated or damaged file"
    if isinstance(error, MemoryError):
        return "a file that needs more memory than is available"
    if isinstance(error, OverflowError):
        return "a header with a number out of range"
    return f"a file that cannot be read ({type(error).__name__})"


def read_tiff(path: Path) -> NDArray[Any]:
    """Read a TIFF slice of (rows, columns) or (rows, columns, colours).

    Raises:
        UnreadableScan: the file is damaged, has no pixels, or would take too much memory.
    """
    import tifffile

    expected = "a complete TIFF slice"
    with guarded(path, expected=expected), _quiet(), tifffile.TiffFile(path) as file:
        _check_tiff(path, file)
        page = np.asarray(file.asarray())
    if page.size == 0 or page.dtype.kind not in "buif":
        raise UnreadableScan(
            path, expected=expected, got="a file without pixels", next_step=COPY_AGAIN
        )
    return page


def read_png(path: Path) -> tuple[NDArray[Any], str]:
    """Read a PNG slice; return its pixels and Pillow's mode, such as ``L``.

    Raises:
        UnreadableScan: the file is damaged or would take too much memory.
    """
    from PIL import Image

    guard = guarded(path, expected="a complete PNG slice")
    with guard, _without_pillows_limit(), Image.open(path, formats=["PNG"]) as picture:
        width, height = picture.size
        refuse_larger(path, 4 * width * height * len(picture.getbands()), share=SLICE_SHARE)
        return np.asarray(picture), picture.mode


def inflated_size(packed: bytes, *, limit: int, wbits: int = zlib.MAX_WBITS) -> int:
    """Return the uncompressed size of DEFLATE data, counting to just above ``limit`` bytes."""
    decompressor, size = zlib.decompressobj(wbits), 0
    while packed and not decompressor.eof and size <= limit:
        size += len(decompressor.decompress(packed, CHUNK_BYTES))
        packed = decompressor.unconsumed_tail
    return size


def _check_tiff(path: Path, file: tifffile.TiffFile) -> None:
    """Compare the size declared in the tags with the file and the limit, before reading pixels."""
    series = file.series[0]
    size = int(np.prod(series.shape, dtype=object)) * series.dtype.itemsize
    refuse_larger(path, size, share=SLICE_SHARE)
    pages: list[Any] = [page for page in series.pages if page is not None]
    for page in pages:
        strip_bytes = int(np.prod(page.chunks, dtype=object)) * page.dtype.itemsize
        refuse_larger(path, strip_bytes, share=SLICE_SHARE)
        if page.compression in DEFLATE_TIFF:
            _check_strips(path, file, page, strip_bytes)
    packed = any(page.compression != UNCOMPRESSED_TIFF for page in pages)
    largest = file.filehandle.size * (MAX_DEFLATE_RATIO if packed else 1)
    if size > largest:
        raise UnreadableScan(
            path,
            expected=f"{size} bytes of pixels, as its header declares",
            got=f"a file of {file.filehandle.size} bytes",
            next_step=COPY_AGAIN,
        )


def _check_strips(path: Path, file: tifffile.TiffFile, page: Any, strip_bytes: int) -> None:
    """Refuse strips or tiles that decompress to far more than declared: tifffile reads them whole.

    Only strips that can be that large are decompressed here.
    """
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count * MAX_DEFLATE_RATIO <= limit_bytes() // SLICE_SHARE:
            continue
        file.filehandle.seek(offset)
        packed = file.filehandle.read(min(count, file.filehandle.size))
        if inflated_size(packed, limit=2 * strip_bytes) > 2 * strip_bytes:
            raise UnreadableScan(
                path,
                expected=f"strips of {strip_bytes} bytes, as its header declares",
                got="a strip that decompresses to more",
                next_step=COPY_AGAIN,
            )


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Lift Pillow's own limit, which is global; ours is stricter."""
    from PIL import Image

    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress tifffile's messages about damaged tags, which do not name the file."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _formatted(size: int) -> str:
    return f"{size / (1 << 30):.3g} GB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MB"
