"""Handling of Ctrl-C and SIGTERM.

Imports the standard library only, because it is loaded before everything else.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, ModuleType
from typing import NoReturn

INTERRUPTED = 130
STOPPED = "anomri: stopped; run the same command again to continue."
SAME_SECONDS = 2.0
HANDLED = (signal.SIGINT, signal.SIGTERM)


class Handler:
    """Handler of SIGINT and SIGTERM.

    Attributes:
        interrupts: raise ``KeyboardInterrupt``, so that half-written files are removed. While
            modules load there is nothing to remove, and a library might take the exception for a
            missing module: then the process ends at once.
    """

    def __init__(self) -> None:
        self.interrupts = False
        self._last = -SAME_SECONDS

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """End the process, or interrupt it."""
        del number, frame
        if not self.interrupts:
            self.end_at_once()
        # A scheduler may signal both the process and its group. The second signal is a repetition
        # of the first and must not interrupt the removal of half-written files.
        now = time.monotonic()
        if now - self._last >= SAME_SECONDS:
            self._last = now
            raise KeyboardInterrupt

    @staticmethod
    def end_at_once() -> NoReturn:
        """Write the message and end the process without any more of Python."""
        with suppress(OSError):  # standard error may be closed or full
            os.write(2, f"{STOPPED}\n".encode())
        os._exit(INTERRUPTED)


@contextmanager
def handled_signals() -> Iterator[Handler]:
    """Handle the signals in this block; one that was ignored before, as by nohup, stays ignored."""
    handler = Handler()
    if threading.current_thread() is not threading.main_thread():
        yield handler
        return
    before = {number: signal.getsignal(number) for number in HANDLED}
    for number, previous in before.items():
        if previous != signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield handler
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def handled_at_exit() -> Iterator[None]:
    """Handle the signals again when Python ends after this block.

    That takes up to a second after PyTorch was used: first what libraries registered, during which
    a signal ends the process at once, then the removal of all modules, for which Python would
    restore the system's handling, so that a completed command seemed to be killed.
    """
    atexit.register(_set_handling, signal.SIG_IGN)  # called last
    try:
        yield
    finally:
        atexit.register(_end_at_once)  # called first


def _end_at_once() -> None:
    with suppress(OSError, ValueError):  # closed or full; Python tries again and reports it
        sys.stdout.flush()
    _set_handling(Handler())


def _set_handling(handling: Handler | signal.Handlers) -> None:
    for number in HANDLED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handling)


def load_exports(*packages: ModuleType) -> None:
    """Import all that packages export; a signal in the meantime ends the process at once.

    Commands that compute call this before they write: packages import their modules when they are
    used, and PyTorch alone takes seconds. See :class:`Handler`.

    Raises:
        UsageError: see :func:`anomri.cli.environment.prepare_environment`.
    """
    from anomri.cli.environment import prepare_environment

    prepare_environment()
    handler = signal.getsignal(signal.SIGTERM)
    interrupts = isinstance(handler, Handler) and handler.interrupts
    if isinstance(handler, Handler):
        handler.interrupts = False
    for package in packages:
        for name in package.__all__:
            getattr(package, name)
    if isinstance(handler, Handler):
        handler.interrupts = interrupts
