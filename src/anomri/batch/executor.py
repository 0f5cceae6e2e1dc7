"""Who does a batch: this process, several of this machine, or a cluster.

joblib's processes serve one machine: it hands out the scans one at a time, so that the memory of
each worker stays that of one scan. More than one machine: see :mod:`anomri.batch.dask`. A job
array needs neither: ``--part``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import cloudpickle
import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from anomri.batch.dask import ClusterWorkerLost, on_cluster
from anomri.errors import AnomriError, UsageError
from anomri.files import exit_with_parent, signals_blocked

Item = TypeVar("Item")
Value = TypeVar("Value")

PROCESSES, DASK = "processes", "dask"
ENGINES = (PROCESSES, DASK)


class WorkerLost(AnomriError):
    """A worker process was killed before it could say anything."""


@dataclass(frozen=True, slots=True)
class Executor:
    """How many work on a batch, and where.

    Attributes:
        workers: processes of this machine; 1 works in this very process.
        engine: ``processes`` or ``dask``.
        scheduler: address of Dask's scheduler, such as ``tcp://node1:8786``.
    """

    workers: int = 1
    engine: str = PROCESSES
    scheduler: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: no workers, an unknown engine, or an engine without its address.
        """
        if self.workers < 1:
            raise UsageError(f"workers: expected 1 or more, got {self.workers}")
        if self.engine not in ENGINES:
            raise UsageError(f"engine '{self.engine}': expected one of {', '.join(ENGINES)}")
        if (self.engine == DASK) != bool(self.scheduler):
            raise UsageError("the engine dask and the address of a scheduler belong together")

    def run(
        self, work: Callable[[Item], Value], items: Sequence[Item]
    ) -> Generator[Value, None, None]:
        """Yield what ``work`` makes of each item, in their order, whoever was faster.

        Raises:
            WorkerLost: a worker was killed; those that live are stopped.
        """
        if self.engine == PROCESSES and self.workers == 1:
            yield from map(work, items)
            return
        packed: _Packed[Item, Value] = _Packed(cloudpickle.dumps(work))
        with _worker_losses():
            if self.engine == DASK:
                yield from on_cluster(packed, items, self.scheduler)
            else:
                yield from self._here(packed, items)

    def _here(
        self, work: Callable[[Item], Value], items: Sequence[Item]
    ) -> Generator[Value, None, None]:
        threads = fair_share(self.workers)
        # A worker that is idle or starting must notice, too, that its parent is gone.
        watch: dict[str, Any] = {"initializer": exit_with_parent, "initargs": (os.getpid(),)}
        with joblib.parallel_config("loky", inner_max_num_threads=threads, **watch):
            # One item at a time and few in advance: memory stays flat, the bar moves.
            parallel = joblib.Parallel(
                self.workers, batch_size=1, max_nbytes=None, return_as="generator"
            )
            with signals_blocked():
                results = parallel(joblib.delayed(_do)(work, item, threads) for item in items)
            try:
                yield from results
            finally:
                results.close()


SERIAL = Executor()


def fair_share(workers: int) -> int:
    """Return the threads of each of ``workers`` processes: the cores divided, at least one."""
    share: int = max(1, joblib.cpu_count() // workers)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdigit() and int(asked) > 0 else share


def _do(work: Callable[[Item], Value], item: Item, threads: int) -> Value:
    """Work on one item in a worker process, with its share of the threads."""
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
    try:
        yield
    except TerminatedWorkerError as error:
        # Its base class also means work that cannot be pickled: a fault of ours, no lost worker.
        raise _lost("a worker process") from error
    except ClusterWorkerLost as error:
        raise _lost("a worker of the cluster") from error


def _lost(who: str) -> WorkerLost:
    return WorkerLost(
        f"{who} was killed while it had a scan, perhaps for want of memory; what was finished is "
        "kept. Next: run the same command again, with fewer --workers if it happens again."
    )
