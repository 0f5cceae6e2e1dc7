"""Standard error that may fail: commands go on where messages cannot be written.

This module imports only the standard library, like :mod:`anomri.cli.signals`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD = (0, 1, 2)
ERROR = 2


class _Tolerant(io.FileIO):
    """File that is replaced by :data:`os.devnull` once a write fails."""

    def write(self, content: ReadableBuffer, /) -> int:
        """Write ``content``, or discard it once a write has failed."""
        try:
            return super().write(content)
        except OSError:  # redirected to a full disk, or into a closed pipe
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())  # for worker processes and libraries, too
            os.close(null)
            return super().write(content)


@contextmanager
def tolerant_errors() -> Iterator[None]:
    """Ignore failed writes to standard error in this block, and keep its file descriptor reserved.

    A terminal and a stream that replaces standard error, as in tests, are left as they are.
    """
    _open_standard_streams()
    before = sys.__stderr__
    if before is None or sys.stderr is not before or before.isatty():
        yield
        return
    raw = io.BufferedWriter(_Tolerant(ERROR, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(
        raw, encoding=before.encoding, errors=before.errors, line_buffering=True
    )
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before


def _open_standard_streams() -> None:
    """Open closed standard streams, so that no result gets their file descriptors.

    Messages that a library writes to standard error would otherwise end up in that result.
    """
    opened = os.open(os.devnull, os.O_RDWR)
    while opened in STANDARD:
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # Python found it closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
