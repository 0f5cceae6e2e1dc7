"""Who does a batch: this process, several of this machine, or a cluster.

joblib hands out the scans, one at a time, so that the memory of each worker stays that of one
scan. Its own processes serve one machine. For more than one machine its Dask backend was chosen:
the same call then runs on whatever `dask scheduler` and `dask worker` were started on, with Slurm,
SGE, PBS or by hand, and joblib, Dask and scikit-learn's people keep it working. Ray and MPI would
each need a second way to write the batch. Where there is only a job array, `--part` needs neither.

A worker loads the model itself, by its path: scans, model and results must lie in folders that
every machine sees under the same name. Dask's traffic is pickled and not encrypted: use it within
a network that is trusted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from anomri.errors import AnomriError, MissingPiece, UsageError

Item = TypeVar("Item")
Value = TypeVar("Value")

PROCESSES, DASK = "processes", "dask"
ENGINES = (PROCESSES, DASK)
REACH_SECONDS = 30


class WorkerLost(AnomriError):
    """A worker process was killed before it could say anything."""


@dataclass(frozen=True, slots=True)
class Crew:
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
        with self._backend() as (jobs, threads), _worker_losses():
            # One item at a time and few in advance: memory stays flat, the bar moves.
            parallel = joblib.Parallel(jobs, batch_size=1, max_nbytes=None, return_as="generator")
            results = parallel(joblib.delayed(_do)(work, item, threads) for item in items)
            try:
                yield from results
            finally:
                results.close()

    @contextmanager
    def _backend(self) -> Iterator[tuple[int, int | None]]:
        """Choose joblib's backend; yield the number of jobs and of the threads of each."""
        with ExitStack() as stack:
            if self.engine == DASK:
                client = stack.enter_context(_client(self.scheduler))
                stack.enter_context(
                    joblib.parallel_config("dask", client=client, wait_for_workers_timeout=60)
                )
                yield -1, None  # Dask's own nanny sets the threads of its workers
                return
            threads = fair_share(self.workers)
            stack.enter_context(joblib.parallel_config("loky", inner_max_num_threads=threads))
            yield self.workers, threads


ALONE = Crew()


def fair_share(workers: int) -> int:
    """Return the threads of each of ``workers`` processes: the cores divided, at least one."""
    share: int = max(1, joblib.cpu_count() // workers)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdigit() and int(asked) > 0 else share


def _do(work: Callable[[Item], Value], item: Item, threads: int | None) -> Value:
    """Work on one item in a worker process, with its share of the threads."""
    if threads is not None:
        os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)  # read on first use
        torch.set_num_threads(threads)
    return work(item)


@contextmanager
def _worker_losses() -> Iterator[None]:
    try:
        yield
    except TerminatedWorkerError as error:
        # Its base class also means work that cannot be pickled: a fault of ours, no lost worker.
        raise _lost("a worker process") from error
    except Exception as error:
        # Dask's class is not at hand where Dask is not.
        if type(error).__name__ not in {"KilledWorker", "FutureCancelledError", "CancelledError"}:
            raise
        raise _lost("a worker of the cluster") from error


def _lost(who: str) -> WorkerLost:
    return WorkerLost(
        f"{who} was killed while it had a scan, perhaps for want of memory; what was finished is "
        "kept. Next: run the same command again, with fewer --workers if it happens again."
    )


def _client(address: str) -> AbstractContextManager[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingPiece(
            "the engine dask needs the package distributed. "
            'Next: `pip install "anomri[dask]"`, or use --workers on one machine.'
        ) from error
    try:
        client: AbstractContextManager[Any] = Client(  # type: ignore[no-untyped-call]
            address, timeout=REACH_SECONDS
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(
            f"scheduler '{address}': expected a Dask scheduler, found none in "
            f"{REACH_SECONDS} s. Next: start one with `dask scheduler`, or check the address."
        ) from error
    return client
