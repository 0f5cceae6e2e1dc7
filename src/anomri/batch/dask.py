"""A batch on more than one machine: Dask's scheduler and its workers.

Dask was chosen because `dask scheduler` and `dask worker` start under Slurm, SGE, PBS or by hand,
and are well maintained. Ray and MPI would each need a launcher of their own. Its client is used
directly: through joblib, a batch whose worker was killed waited forever, because joblib's backend
(1.6) passes on results but not the loss of a worker.

    dask scheduler --host node1
    dask worker tcp://node1:8786 --nworkers 4 --nthreads 1      # on each machine
    anomri detect STUDY/ --scheduler tcp://node1:8786 -o out/

Each worker has one thread, because libraries below keep settings per process. A worker loads the
model itself, by its path: scans, model and results must be in folders that all machines see under
the same name, and all machines need the same version of anomri. Dask's traffic is pickled and not
encrypted: use it in a trusted network only.

Tasks are sent as bytes that only a worker's own thread unpickles. If Dask unpickled them, in the
loop that also answers the scheduler, it would import anomri there: that took 145 s on a busy
machine, and the scheduler gives up workers that do not answer.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import islice
from operator import methodcaller
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import cloudpickle

from anomri.errors import AnomriError, MissingPiece, UsageError

Item = TypeVar("Item")
Value = TypeVar("Value")

MISSING = (
    "the engine dask needs the package distributed. "
    'Next: `pip install "anomri[dask]"`, or use --workers on one machine.'
)
REACH_SECONDS = 30
JOIN_SECONDS = 120  # until the first worker must have joined
AHEAD = 2  # scans submitted in advance per thread of the cluster


class ClusterWorkerLost(AnomriError):
    """Workers were killed by one scan more often than the scheduler allows."""


class SchedulerLost(AnomriError):
    """The scheduler ended, or cancelled the tasks."""


def on_cluster(
    work: Callable[[Item], Value], items: Sequence[Item], address: str
) -> Generator[Value, None, None]:
    """Yield ``work(item)`` for each item, in their order; few are submitted at a time.

    Args:
        work: pickled and sent to the workers.
        items: arguments of ``work``.
        address: of the scheduler.

    Raises:
        MissingPiece: distributed is not installed.
        UsageError: there is no scheduler, or no worker joins it.
        ClusterWorkerLost: workers were killed by one item.
        SchedulerLost: the scheduler ended.
    """
    rest, batch, unpickle_and_call = iter(enumerate(items)), uuid4().hex, _unpickling()
    with _client(address) as client:
        _wait_for_workers(client, address)
        submitted: deque[Any] = deque()
        try:
            while True:
                for number, item in islice(rest, max(_room(client) - len(submitted), 1)):
                    key = f"anomri-{number}-{batch}"
                    pickled = cloudpickle.dumps(partial(_call_in, Path.cwd(), work, item))
                    submitted.append(client.submit(unpickle_and_call, pickled, key=key, pure=False))
                if not submitted:
                    return
                with _losses(address):
                    value = submitted[0].result()
                submitted.popleft()
                yield value
        finally:
            client.cancel(list(submitted))


def _call_in(folder: Path, work: Callable[[Item], Value], item: Item) -> Value:
    """Call ``work`` in the folder of the command: relative paths start there."""
    os.chdir(folder)
    return work(item)


def _unpickling() -> Callable[[bytes], Any]:
    """Return a function that unpickles a task and calls it; unpickled itself without anomri."""
    try:
        from toolz import compose
    except ImportError as error:
        raise MissingPiece(MISSING) from error
    composed: Callable[[bytes], Any] = compose(methodcaller("__call__"), pickle.loads)
    return composed


def _room(client: Any) -> int:
    """Return how many items may be submitted now; workers come and go."""
    threads: int = sum(client.ncores().values())
    return AHEAD * threads


def _wait_for_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=JOIN_SECONDS)
    except TimeoutError as error:
        raise UsageError(
            f"scheduler '{address}': no worker joined within {JOIN_SECONDS} s. "
            f"Next: start some with `dask worker {address} --nworkers 4 --nthreads 1`."
        ) from error


@contextmanager
def _losses(address: str) -> Iterator[None]:
    from distributed import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise ClusterWorkerLost(str(error)) from error
    except CancelledError as error:
        raise SchedulerLost(
            f"scheduler '{address}': lost before the batch was finished. Next: start scheduler "
            "and workers again, then run the same command; finished scans are not repeated."
        ) from error


def _client(address: str) -> AbstractContextManager[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingPiece(MISSING) from error
    # Where the scheduler ends, these write tracebacks; here one line says so.
    for name in ("distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client: AbstractContextManager[Any] = Client(  # type: ignore[no-untyped-call]
            address, timeout=REACH_SECONDS
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(
            f"scheduler '{address}': expected a Dask scheduler, found none within "
            f"{REACH_SECONDS} s. Next: start one with `dask scheduler`, or check the address."
        ) from error
    return client
