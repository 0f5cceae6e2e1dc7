"""Executors of a batch: this process, several processes of this machine, or a cluster.

On one machine joblib starts the processes and submits one scan at a time, so that each worker needs
the memory of one scan. For several machines see :mod:`anomri.batch.dask`. Job arrays need neither:
they use ``--part``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import cloudpickle

from anomri.batch.dask import ClusterWorkerLost, on_cluster
from anomri.errors import AnomriError, UsageError
from anomri.files import exit_with_parent, keep_freed_memory, signals_blocked

Item = TypeVar("Item")
Value = TypeVar("Value")

PROCESSES, DASK = "processes", "dask"
ENGINES = (PROCESSES, DASK)


class WorkerLost(AnomriError):
    """A worker process was killed."""


@dataclass(frozen=True, slots=True)
class Executor:
    """Worker processes of a batch, on this machine or on a cluster.

    Attributes:
        workers: processes of this machine; 1 is this process itself.
        engine: ``processes`` or ``dask``.
        scheduler: address of Dask's scheduler, such as ``tcp://node1:8786``; with ``dask`` only.
    """

    workers: int = 1
    engine: str = PROCESSES
    scheduler: str | None = None

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            UsageError: no workers, an unknown engine, or ``dask`` without an address.
        """
        if self.workers < 1:
            raise UsageError(
                f"workers: expected 1 or more, got {self.workers}. Next: leave it out for one."
            )
        if self.engine not in ENGINES:
            raise UsageError(
                f"engine '{self.engine}': expected one of {', '.join(ENGINES)}. Next: choose one."
            )
        if (self.engine == DASK) != bool(self.scheduler):
            raise UsageError(
                "expected the address of a scheduler with the engine dask, and only with it. "
                "Next: add --scheduler, or use the engine processes."
            )

    def run(
        self, work: Callable[[Item], Value], items: Sequence[Item]
    ) -> Generator[Value, None, None]:
        """Yield ``work(item)`` for each item, in the order of the items.

        Raises:
            WorkerLost: a worker was killed; the others are stopped.
        """
        if self.engine == PROCESSES and self.workers == 1:
            yield from map(work, items)
            return
        packed: _Packed[Item, Value] = _Packed(cloudpickle.dumps(work))
        with _worker_losses():
            if self.scheduler:
                yield from on_cluster(packed, items, self.scheduler)
            else:
                yield from self._in_processes(packed, items)

    def _in_processes(
        self, work: Callable[[Item], Value], items: Sequence[Item]
    ) -> Generator[Value, None, None]:
        import joblib

        threads = fair_share(self.workers)
        # Idle and starting workers, too, must notice that their parent has ended.
        initialisation: dict[str, Any] = {
            "initializer": _start_worker,
            "initargs": (os.getpid(),),
        }
        with joblib.parallel_config("loky", inner_max_num_threads=threads, **initialisation):
            # One item at a time and few in advance, for constant memory and steady progress.
            parallel = joblib.Parallel(
                self.workers, batch_size=1, max_nbytes=None, return_as="generator"
            )
            with signals_blocked():
                results = parallel(joblib.delayed(_run_item)(work, item, threads) for item in items)
            try:
                yield from results
            finally:
                results.close()


SERIAL = Executor()


def fair_share(workers: int) -> int:
    """Return the number of threads for each of ``workers`` processes: at least one."""
    import joblib

    share: int = max(1, joblib.cpu_count() // workers)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(limit)) if limit.isdigit() and int(limit) > 0 else share


def _start_worker(parent: int) -> None:
    """Prepare a worker process of the process ``parent``."""
    exit_with_parent(parent)
    keep_freed_memory()


def _run_item(work: Callable[[Item], Value], item: Item, threads: int) -> Value:
    """Process one item in a worker process, with its share of the threads."""
    import torch

    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)  # read on first use
    torch.set_num_threads(threads)
    return work(item)


@dataclass(frozen=True, slots=True)
class _Packed(Generic[Item, Value]):
    """Work that is unpacked when a worker begins it, once for all items.

    An error there, such as a model that is gone, then reaches the user as it is; joblib would say
    that the work could not be unpacked, and not why.
    """

    data: bytes

    def __call__(self, item: Item) -> Value:
        value: Value = _unpacked(self.data)(item)
        return value


@lru_cache(maxsize=1)
def _unpacked(data: bytes) -> Callable[[Any], Any]:
    work: Callable[[Any], Any] = cloudpickle.loads(data)
    return work


@contextmanager
def _worker_losses() -> Iterator[None]:
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        yield
    except TerminatedWorkerError as error:
        # Not its base class, which is also raised for tasks that cannot be pickled.
        raise _lost("a worker process") from error
    except ClusterWorkerLost as error:
        raise _lost("a worker of the cluster") from error


def _lost(worker: str) -> WorkerLost:
    return WorkerLost(
        f"{worker} was killed while processing a scan, possibly out of memory; finished results "
        "are kept. Next: run the same command again, with fewer --workers if it happens again."
    )
