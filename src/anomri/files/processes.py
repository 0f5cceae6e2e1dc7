"""Processes of this machine: identity, liveness, signals, and exit with the parent."""

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

POLL_SECONDS = 0.5
MAX_KILL_SECONDS = 5.0
MAX_SUSPEND_SECONDS = 1.0  # of a process that waits for a disk, and starts no child meanwhile
STILL = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE})
STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})


@cache
def machine_id() -> str:
    """Return a short identifier of this machine that does not reveal its host name.

    On Linux it includes the process namespace: two containers may share a host name, but process
    numbers of one mean nothing in the other.
    """
    name = socket.gethostname()
    with suppress(OSError):
        name += str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def start_time_ms(process: int) -> int | None:
    """Return when a process started, in ms since 1970; None if it does not run.

    Process numbers are reused; number and start time together are unique. 0 stands for a process
    whose start time may not be read.
    """
    try:
        running = psutil.Process(process)
        dead = running.status() == psutil.STATUS_ZOMBIE
        return None if dead else round(running.create_time() * 1000)
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return 0


def is_alive(process: int, start: int) -> bool:
    """Tell whether a process runs.

    Args:
        process: its number.
        start: from :func:`start_time_ms`; the clock may have been adjusted by seconds since.
    """
    now = start_time_ms(process)
    return now is not None and (now == 0 or abs(now - start) < 5000)


def exit_with_parent(parent: int) -> None:
    """Kill this process as soon as its parent is gone.

    A killed parent cannot stop its workers. They would finish their scans in a folder that the
    next run writes to, and then wait for minutes.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    start = start_time_ms(parent) or 0
    while os.getppid() == parent and is_alive(parent, start):
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM for processes started in this block; their parent stops them.

    Terminals and job schedulers signal the whole process group. Processes and threads started here
    inherit the block; this thread receives the signal when the block ends.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    _start_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Undo :func:`signals_blocked` in a process started there, or before its block ends."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def kill_with_children(processes: Iterable[int]) -> None:
    """Kill processes and all their descendants, and wait for the end of the descendants."""
    parents: list[psutil.Process] = []
    for number in processes:
        with suppress(psutil.NoSuchProcess):
            parents.append(psutil.Process(number))
    family = [*parents]
    for process in family:  # it grows: children follow their parents
        with suppress(psutil.NoSuchProcess):
            _suspend(process)
            family += process.children()
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family[len(parents) :], timeout=MAX_KILL_SECONDS)


def _suspend(process: psutil.Process) -> None:
    """Suspend a process and wait until it is: it may be starting a child, which nobody has seen."""
    process.suspend()
    end = time.monotonic() + MAX_SUSPEND_SECONDS
    while process.status() not in STILL and time.monotonic() < end:
        time.sleep(0.001)


def _start_tracker() -> None:
    """Start multiprocessing's resource tracker, without its warnings about leaked semaphores.

    Starting it unblocks signals, so it must come before they are blocked.
    """
    before = os.environ.get("PYTHONWARNINGS")
    quiet = "ignore::UserWarning:multiprocessing.resource_tracker"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, quiet)))
    resource_tracker.ensure_running()
    del os.environ["PYTHONWARNINGS"]
    os.environ.update({} if before is None else {"PYTHONWARNINGS": before})
