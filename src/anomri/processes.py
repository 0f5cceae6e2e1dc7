"""Processes of this machine: which one is which, whether it lives, and ending with its parent."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import resource_tracker
from pathlib import Path

import psutil

WATCH_SECONDS = 0.5
GONE_SECONDS = 5.0
STOPPING = frozenset({signal.SIGINT, signal.SIGTERM})


@cache
def machine() -> str:
    """Return a short name of this machine that does not reveal its host name.

    On Linux the namespace of process numbers is part of it: two containers may share a host name,
    but a number of one means nothing in the other.
    """
    name = socket.gethostname()
    with suppress(OSError):
        name += str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def started(process: int) -> int | None:
    """Return when a process was started, in milliseconds since 1970; None where there is none.

    Process numbers are used again; number and start together are not.
    """
    try:
        found = psutil.Process(process)
        dead = found.status() == psutil.STATUS_ZOMBIE
        return None if dead else round(found.create_time() * 1000)
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return 0


def lives(process: int, start: int) -> bool:
    """Tell whether the process of this number is there and was started then.

    Args:
        process: its number.
        start: as :func:`started` returned it; the clock may have been set by some seconds since.
    """
    now = started(process)
    return now is not None and (now == 0 or abs(now - start) < 5000)


def end_with(parent: int) -> None:
    """End this process at once when its parent is gone, whatever it is doing.

    A parent that is killed cannot tell its workers to stop. They would finish their scans into a
    folder that the next run writes to, and then wait for minutes.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    start = started(parent) or 0
    while os.getppid() == parent and lives(parent, start):
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


@contextmanager
def signals_held() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: their parent stops them.

    A terminal and a job scheduler signal the whole group. What is blocked here stays blocked in
    processes and threads that are started here; in this thread the signal comes a moment later.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    _start_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_signals_through() -> None:
    """Undo :func:`signals_held` in a process that was started there, or before its block ends."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def kill_with_children(processes: Iterable[int]) -> None:
    """Kill processes and all that they have started; return when the latter are gone."""
    found: list[psutil.Process] = []
    children: list[psutil.Process] = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(process)
            own.suspend()  # or it might start another while its children are listed
            found.append(own)
            children += own.children(recursive=True)
    for one in (*found, *children):
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(children, timeout=GONE_SECONDS)


def _start_tracker() -> None:
    """Start the process that removes the semaphores of killed ones; it does so without a word.

    Its start lets signals through, so that it must come before they are held.
    """
    before = os.environ.get("PYTHONWARNINGS")
    quiet = "ignore::UserWarning:multiprocessing.resource_tracker"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, quiet)))
    resource_tracker.ensure_running()
    del os.environ["PYTHONWARNINGS"]
    os.environ.update({} if before is None else {"PYTHONWARNINGS": before})
