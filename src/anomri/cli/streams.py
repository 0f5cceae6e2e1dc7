"""What is said goes to standard error; where nobody can hear it, the work goes on.

Imports nothing but the standard library, as :mod:`anomri.cli.signals`.
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
    """A file that turns into :data:`os.devnull` when it cannot be written to."""

    def write(self, content: ReadableBuffer, /) -> int:
        """Write ``content``; once that has failed, nowhere."""
        try:
            return super().write(content)
        except OSError:  # a full disk behind a redirection, or a reader that has gone
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # for worker processes and libraries, too
            os.close(nowhere)
            return super().write(content)


@contextmanager
def tolerant_errors() -> Iterator[None]:
    """Let standard error fail without a word in this block, and no other file take its number.

    A stream that somebody else has put in its place, and a terminal, are left as they are.
    """
    _fill_standard()
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


def _fill_standard() -> None:
    """Open what is closed of the first three files, or the next result would be one of them.

    A library's message on standard error would then be written into it.
    """
    opened = os.open(os.devnull, os.O_RDWR)
    while opened in STANDARD:
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # Python found it closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
