"""Files of others: opened behind one guard, and never larger in memory than a stated limit.

Every reader of scans, slices and headers works inside :func:`guarded`: whatever a library raises
at damaged data becomes an :class:`~anomri.errors.UnreadableScan` that names the file, so that the
other scans of a data set are finished. What a header promises is compared with the file and with
the limit before memory is asked for.
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
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from anomri.errors import AnomriError, NotFetched, UnreadableScan, UsageError

LIMIT = "ANOMRI_MAX_IMAGE_GB"
DEFAULT_GB = 2.0  # a scan of 512 x 512 x 512 voxels takes 0.8
SLICE_SHARE = 16  # one slice, or the header of a DICOM file, gets this part of the limit
COPY_AGAIN = "copy or download the file again and check that it opens in a viewer"
MAX_DEFLATE_RATIO = 1040  # DEFLATE cannot do better than 1032 : 1
CHUNK = 1 << 20
POINTERS = {  # how a file begins that stands for data that were not fetched
    b"version https://git-lfs.github.com/spec/": ("git-lfs", "git lfs pull"),
    b"/annex/objects/": ("git-annex", "git annex get` or `datalad get"),
    b"\\annex\\objects\\": ("git-annex", "git annex get` or `datalad get"),
}
DEFLATE_TIFF = (8, 32946)  # both numbers of the compression
UNCOMPRESSED_TIFF = 1

log = logging.getLogger(__name__)


def limit_bytes() -> int:
    """Return how many bytes one image may take: :data:`LIMIT` in the environment, or the default.

    Raises:
        UsageError: the environment holds no number above 0.
    """
    text = os.environ.get(LIMIT, "")
    try:
        gigabytes = float(text) if text else DEFAULT_GB
        valid = 0 < gigabytes < float(1 << 20)
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(
            f"{LIMIT}='{text}': expected a number of GB above 0. Next: set it to {DEFAULT_GB:g}."
        )
    return int(gigabytes * (1 << 30))


def refuse_larger(name: str | Path, size: int, *, share: int = 1) -> None:
    """Raise where an image would take more memory than the limit.

    Args:
        name: of its file.
        size: bytes, as its header declares them.
        share: the part of the limit that is allowed.

    Raises:
        UnreadableScan: it is larger.
    """
    limit = limit_bytes() // share
    if size <= limit:
        return
    needed = math.ceil(size * share / (1 << 30))
    raise UnreadableScan(
        name,
        expected=f"an image of at most {_spelt(limit)} in memory",
        got=f"one of {_spelt(size)}, as its header says",
        next_step=f"check the file; if it is right, set {LIMIT}={needed} in the environment "
        f"or say `anomri --max-image-gb {needed} ...`",
    )


@contextmanager
def guarded(
    file: str | Path, *, expected: str = "a whole image", next_step: str = COPY_AGAIN
) -> Iterator[None]:
    """Turn whatever a library raises at somebody's file into :class:`UnreadableScan`.

    A damaged header makes readers fail in any way there is, of which few are documented. Their
    warnings do not name the file and are not shown.

    Args:
        file: at fault where something is raised: its path, or its name alone.
        expected: what it should be.
        next_step: what to do where it is not.
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
            expected="a file that may be read",
            got="no permission",
            next_step="change its permissions, for example with chmod u+r",
        ) from error
    except Exception as error:
        log.debug("%s: reading failed", Path(file).name, exc_info=True)
        if isinstance(file, Path):
            refuse_pointer(file.name, _start_of(file))
        got = describe_failure(error)
        raise UnreadableScan(file, expected=expected, got=got, next_step=next_step) from error


def refuse_pointer(name: str, start: bytes) -> None:
    """Raise where a file only says which data git-lfs or git-annex would put in its place.

    Args:
        name: of the file.
        start: its first bytes.

    Raises:
        NotFetched: it does.
    """
    for begin, (tool, command) in POINTERS.items():
        if start.startswith(begin):
            raise NotFetched(
                name,
                expected="an image",
                got=f"a pointer of {tool} in its place: the data were not downloaded",
                next_step=f"fetch them with `{command}` in the data set's folder",
            )


def _start_of(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(max(map(len, POINTERS)))
    except OSError:
        return b""


def describe_failure(error: Exception) -> str:
    """Say what went wrong without the folders that library messages mention."""
    if isinstance(error, EOFError | zlib.error):
        return "a truncated or damaged file"
    if isinstance(error, MemoryError):
        return "a file that needs more memory than there is"
    return f"a file that cannot be read ({type(error).__name__})"


def read_tiff(path: Path) -> NDArray[Any]:
    """Read one TIFF slice of (rows, columns) or (rows, columns, colours).

    Raises:
        UnreadableScan: it is damaged, holds no pixels, or would take too much memory.
    """
    expected = "a whole TIFF slice"
    with guarded(path, expected=expected), _quiet(), tifffile.TiffFile(path) as file:
        _check_tiff(path, file)
        page = np.asarray(file.asarray())
    if page.size == 0 or page.dtype.kind not in "buif":
        raise UnreadableScan(
            path, expected=expected, got="a file without pixels", next_step=COPY_AGAIN
        )
    return page


def read_png(path: Path) -> tuple[NDArray[Any], str]:
    """Read one PNG slice; return its pixels and Pillow's word for their kind.

    Raises:
        UnreadableScan: it is damaged or would take too much memory.
    """
    guard = guarded(path, expected="a whole PNG slice")
    with guard, _without_pillows_limit(), Image.open(path, formats=["PNG"]) as picture:
        width, height = picture.size
        refuse_larger(path, 4 * width * height * len(picture.getbands()), share=SLICE_SHARE)
        return np.asarray(picture), picture.mode


def inflated_size(packed: bytes, *, limit: int, wbits: int = zlib.MAX_WBITS) -> int:
    """Return how many bytes DEFLATE data hold, counting no further than just above ``limit``."""
    packer, size = zlib.decompressobj(wbits), 0
    while packed and not packer.eof and size <= limit:
        size += len(packer.decompress(packed, CHUNK))
        packed = packer.unconsumed_tail
    return size


def _check_tiff(path: Path, file: tifffile.TiffFile) -> None:
    """Compare what the tags declare with the file and the limit, before pixels are read."""
    series = file.series[0]
    size = int(np.prod(series.shape, dtype=object)) * series.dtype.itemsize
    refuse_larger(path, size, share=SLICE_SHARE)
    pages: list[Any] = [page for page in series.pages if page is not None]
    for page in pages:
        piece = int(np.prod(page.chunks, dtype=object)) * page.dtype.itemsize
        refuse_larger(path, piece, share=SLICE_SHARE)
        if page.compression in DEFLATE_TIFF:
            _check_pieces(path, file, page, piece)
    packed = any(page.compression != UNCOMPRESSED_TIFF for page in pages)
    held = file.filehandle.size * (MAX_DEFLATE_RATIO if packed else 1)
    if size > held:
        raise UnreadableScan(
            path,
            expected=f"{size} bytes of pixels, as its header says",
            got=f"a file of {file.filehandle.size} bytes",
            next_step=COPY_AGAIN,
        )


def _check_pieces(path: Path, file: tifffile.TiffFile, page: Any, piece: int) -> None:
    """Raise where a strip or tile unpacks to far more than its tags say: tifffile unpacks it all.

    Only strips that can be that large are unpacked here.
    """
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count * MAX_DEFLATE_RATIO <= limit_bytes() // SLICE_SHARE:
            continue
        file.filehandle.seek(offset)
        packed = file.filehandle.read(min(count, file.filehandle.size))
        if inflated_size(packed, limit=2 * piece) > 2 * piece:
            raise UnreadableScan(
                path,
                expected=f"strips of {piece} bytes, as its header says",
                got="one that unpacks to more",
                next_step=COPY_AGAIN,
            )


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Lift Pillow's own limit, which cannot be raised for one file; ours is stricter."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what tifffile logs of a damaged tag from the terminal: it does not name the file."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _spelt(size: int) -> str:
    return f"{size / (1 << 30):.3g} GB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MB"
