"""Start and end of the processes that train in parallel or read images.

Terminals and job schedulers signal all processes of a group at once. Only the main process handles
the signal and stops the others, which would otherwise each write a traceback.
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
PROCESS_KILLED = (
    "a process of the training was killed, possibly out of memory; finished epochs are kept. "
    "Next: run the same command again, with fewer --workers or --processes if it happens again."
)


class QuietLoader(DataLoader[tuple[Tensor, Tensor]]):
    """Data loader whose worker processes ignore signals to the group.

    A signal that arrives while a process is forked would be lost or end in a traceback.
    """

    def __iter__(self) -> _BaseDataLoaderIter:
        """Start the worker processes if necessary."""
        with signals_blocked():
            return super().__iter__()


class QuietLauncher(_MultiProcessingLauncher):
    """Launcher of processes without signal handling, which are killed on interruption."""

    def launch(
        self,
        function: Callable[..., Any],
        *args: Any,
        trainer: Trainer | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run ``function`` in all processes.

        Raises:
            KeyboardInterrupt: a signal arrived; all processes have ended.
        """
        try:
            with signals_blocked():
                return super().launch(function, *args, trainer=trainer, **kwargs)
        except KeyboardInterrupt:
            _kill_children()
            raise

    @property
    def procs(self) -> list[Any]:
        """The processes; once they have been started, signals are handled again."""
        return self._processes

    @procs.setter
    def procs(self, started: list[Any]) -> None:
        self._processes = started
        if started:
            unblock_signals()


def _kill_children() -> None:
    """Kill all children; processes that wait for others' gradients handle no milder signal."""
    children: list[BaseProcess] = processes.active_children()
    kill_with_children(child.pid for child in children if child.pid)
    for child in children:
        child.join()


def initialise_worker(_: int) -> None:
    """Make a worker process of a data loader ignore signals, until its parent ends it.

    It has inherited its parent's signal handlers and blocked signals.
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
def readable_process_errors() -> Iterator[None]:
    """Convert the errors of other processes to readable ones.

    Raises:
        AnomriError: a process was killed, or raised an AnomriError.
    """
    try:
        yield
    except ProcessRaisedException as error:
        raise (_as_raised(str(error)) or error) from error
    except ProcessExitedException as error:
        raise AnomriError(PROCESS_KILLED) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise AnomriError(PROCESS_KILLED) from error


def _as_raised(text: str) -> AnomriError | None:
    """Return the error that another process raised, from the last line of its traceback."""
    name, _, message = text.strip().rpartition("\n")[2].partition(": ")
    kind = getattr(errors, name.removeprefix("anomri.errors."), None)
    if not (isinstance(kind, type) and issubclass(kind, AnomriError) and message):
        return None
    error = AnomriError(message)
    error.exit_code = kind.exit_code
    return error
