"""Memory that arrays leave behind, kept for the next ones."""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of glibc's mallopt
LARGEST = 2**31 - 1
OF_THE_USER = ("MALLOC_", "GLIBC_TUNABLES")


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, where the C library is glibc.

    By default each array of a scan is mapped by the system, filled with zeros page by page, and
    unmapped again: up to a sixth of the processor time of a detection. The peak stays the same.
    Settings of the user's own, in ``MALLOC_...`` or ``GLIBC_TUNABLES``, are left as they are.
    """
    if sys.platform != "linux" or any(name.startswith(OF_THE_USER) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, LARGEST)
