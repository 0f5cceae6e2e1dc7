"""What Ctrl-C and a polite kill do, from the first moment on.

Imports nothing but the standard library: it is there before everything else.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130
STOPPED = "anomri: stopped; run the same command again to go on."
SAME_SECONDS = 2.0
HANDLED = (signal.SIGINT, signal.SIGTERM)


class Handler:
    """Answers SIGINT and SIGTERM.

    Attributes:
        interrupts: raise ``KeyboardInterrupt``, so that what is half-written goes. Before that,
            while modules load, there is nothing to tidy up and an exception could end anywhere,
            such as in a library that takes it for a missing module. The process ends at once.
    """

    def __init__(self) -> None:
        self.interrupts = False
        self._last = -SAME_SECONDS

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """End the process, or interrupt it."""
        del number, frame
        if not self.interrupts:
            with suppress(OSError):  # nobody may hear it
                os.write(2, f"{STOPPED}\n".encode())
            os._exit(INTERRUPTED)
        # Who ends a job may signal the process and its group: the second one is the first again,
        # and would cut the tidying short.
        now = time.monotonic()
        if now - self._last >= SAME_SECONDS:
            self._last = now
            raise KeyboardInterrupt


@contextmanager
def handled_signals() -> Iterator[Handler]:
    """Answer the signals in this block; one that was ignored before, as by nohup, stays so."""
    handler = Handler()
    if threading.current_thread() is not threading.main_thread():
        yield handler
        return
    before = {number: signal.getsignal(number) for number in HANDLED}
    for number, held in before.items():
        if held != signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield handler
    finally:
        for number, held in before.items():
            signal.signal(number, held)
