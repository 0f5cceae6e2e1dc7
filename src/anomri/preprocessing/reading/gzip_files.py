"""Decompression of gzip files, with their checksums verified."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from anomri.files import DAMAGED, inflater

GZIP_ENDINGS = (".gz", ".mgz")
GZIP_MAGIC = b"\x1f\x8b"
PIECE = 1 << 14  # bytes of a file that are decompressed at once


def has_gzip_ending(name: str) -> bool:
    """Return whether a file name promises gzip data."""
    return name.lower().endswith(GZIP_ENDINGS)


def decompress(path: Path, limit: int, *, start: int = 0) -> bytes:
    """Return the gzip data of a file from byte ``start`` on, at most ``limit`` bytes.

    nibabel stops reading before the checksum, so that it would take a damaged file for a scan.

    Raises:
        EOFError: the file is truncated.
        zlib.error: the data are damaged.
    """
    try:
        return b"".join(_pieces(memoryview(path.read_bytes()), start, limit))
    except DAMAGED as error:
        raise zlib.error(str(error)) from error


def _pieces(packed: memoryview, at: int, limit: int) -> Iterator[bytes]:
    """Yield the data of all members from byte ``at`` on, together at most ``limit`` bytes."""
    while bytes(packed[at : at + 2]) == GZIP_MAGIC and limit > 0:
        member = inflater()
        end = at
        # In pieces: each member copies the rest of its piece, and there may be many members.
        while not member.eof and limit > 0:
            if end == len(packed):
                raise EOFError("the file ends before its data do")
            piece: bytes | memoryview = packed[end : end + PIECE]
            end += len(piece)
            while piece and not member.eof and limit > 0:
                part = member.decompress(piece, limit)
                yield part
                limit -= len(part)
                piece = member.unconsumed_tail
        at = end - len(member.unused_data)
