"""Processes that train together or read images: how they start and end, and what a loss means.

A terminal and a job scheduler signal all processes of a group at once. Only the first process
answers: it stops the others, which otherwise would each write a traceback of their own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import process as processes
from multiprocessing.process import BaseProcess
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

from anomri import errors
from anomri.errors import AnomriError
from anomri.files import exit_with_parent, kill_with_children, signals_blocked, unblock_signals

GRACE_SECONDS = 3.0
LOST = (
    "a process of the training was killed, perhaps for want of memory; what was finished is kept. "
    "Next: run the same command again, with fewer --workers or --processes if it happens again."
)


class QuietLoader(DataLoader[tuple[Tensor, Tensor]]):
    """Starts its readers so that a signal to the group reaches their parent alone.

    One that arrived just while a process is copied would be lost, or named with a traceback.
    """

    def __iter__(self) -> _BaseDataLoaderIter:
        """Start the readers where there are none yet."""
        with signals_blocked():
            return super().__iter__()


class QuietLauncher(_MultiProcessingLauncher):
    """Starts processes that signals do not reach, and kills them when this one is interrupted."""

    def launch(
        self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **more: Any
    ) -> Any:
        """Run ``function`` in all processes.

        Raises:
            KeyboardInterrupt: a signal arrived; no process is left.
        """
        try:
            with signals_blocked():
                return super().launch(function, *args, trainer=trainer, **more)
        except KeyboardInterrupt:
            _kill_children()
            raise

    @property
    def procs(self) -> list[Any]:
        """The processes; once they have been started, this one answers signals again."""
        return self._processes

    @procs.setter
    def procs(self, started: list[Any]) -> None:
        self._processes = started
        if started:
            unblock_signals()


def _kill_children() -> None:
    """Kill, since one that waits for the others' gradients would hear nothing politer."""
    children: list[BaseProcess] = processes.active_children()
    kill_with_children(child.pid for child in children if child.pid)
    for child in children:
        child.join()


def begin_reader(_: int) -> None:
    """Let a process that reads images outlive a signal to the group until its parent ends it.

    It has inherited the parent's answer to signals, or their blocking.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_later)
    unblock_signals()
    exit_with_parent(os.getppid())


def _end_later(*_: Any) -> None:
    timer = threading.Timer(GRACE_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


@contextmanager
def losses_named() -> Iterator[None]:
    """Say plainly what became of other processes.

    Raises:
        AnomriError: one of them was killed, or raised an error meant for people.
    """
    try:
        yield
    except ProcessRaisedException as error:
        raise (_as_raised(str(error)) or error) from error
    except ProcessExitedException as error:
        raise AnomriError(LOST) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise AnomriError(LOST) from error


def _as_raised(text: str) -> AnomriError | None:
    """Return the error that another process raised, from the last line of its traceback."""
    name, _, said = text.strip().rpartition("\n")[2].partition(": ")
    kind = getattr(errors, name.removeprefix("anomri.errors."), None)
    if not (isinstance(kind, type) and issubclass(kind, AnomriError) and said):
        return None
    error = AnomriError(said)
    error.exit_code = kind.exit_code
    return error
