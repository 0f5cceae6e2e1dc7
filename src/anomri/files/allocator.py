"""Memory that arrays and figures leave behind."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def garbage_collected() -> Iterator[None]:
    """Free what a function leaves behind, such as a figure, whose parts refer to each other.

    For these Python looks through all objects, which it does when there are many new ones, not when
    they are large: after hundreds of figures of 10 MB. Here nothing grows old in the meantime, so
    that only what the function made is looked through, in about a millisecond.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
            gc.collect(0)
