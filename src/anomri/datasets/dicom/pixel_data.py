"""Whether the pixel data of a DICOM file are complete, found without decoding them."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
DEFLATED = "1.2.840.10008.1.2.1.99"
PIXEL_DATA = (0x7FE0, 0x0010)
UNDEFINED = 0xFFFFFFFF
ITEM, DELIMITER = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)


def is_truncated(stream: BinaryIO, header: Dataset) -> bool:
    """Whether the file ends before its pixels do.

    Args:
        stream: at the first byte of the pixel data element.
        header: the tags before it.
    """
    syntax = str(header.file_meta.get("TransferSyntaxUID", UNCOMPRESSED[0]))
    if syntax in UNCOMPRESSED:
        left = os.fstat(stream.fileno()).st_size - stream.tell()
        return left < _pixel_bytes(header)
    return syntax != DEFLATED and _lacks_delimiter(stream)


def _pixel_bytes(header: Dataset) -> int:
    """Return the size of pixels that are not compressed, in bytes; 0 if they are missing."""
    tags = ("Rows", "Columns", "BitsAllocated")
    if any(header.get(tag) is None for tag in tags):
        return 0
    bits = int(np.prod([int(header.get(tag)) for tag in tags], dtype=object))
    return (
        bits * int(header.get("NumberOfFrames") or 1) * int(header.get("SamplesPerPixel") or 1) // 8
    )


def _lacks_delimiter(stream: BinaryIO) -> bool:
    """Whether compressed pixels end before the delimiter of their items (PS3.5 A.4).

    Compressed transfer syntaxes are little-endian with explicit types.
    """
    start = stream.read(12)
    if len(start) < 12 or struct.unpack("<2H", start[:4]) != PIXEL_DATA:
        return False  # no pixels, or an element that this does not know
    if struct.unpack("<I", start[8:])[0] != UNDEFINED:
        return False
    while len(item := stream.read(8)) == 8:
        *tag, length = struct.unpack("<2HI", item)
        if tuple(tag) == DELIMITER:
            return False
        if tuple(tag) != ITEM:
            return True
        stream.seek(length, os.SEEK_CUR)
    return True
