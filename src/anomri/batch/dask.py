"""A batch on more than one machine: Dask's scheduler and its workers.

Dask was chosen because `dask scheduler` and `dask worker` start with Slurm, SGE, PBS or by hand,
and are kept well. Ray and MPI would each want a launcher of their own. Its client is spoken to
directly: through joblib, a batch whose worker was killed waited for ever, because joblib's backend
(1.6) passes on results but not the loss of a worker.

    dask scheduler --host node1
    dask worker tcp://node1:8786 --nworkers 4 --nthreads 1      # on each machine
    anomri detect STUDY/ --scheduler tcp://node1:8786 -o out/

One thread for each worker, because libraries below keep settings per process. A worker loads the
model itself, by its path: scans, model and results must lie in folders that every machine sees
under the same name, and all machines need the same version of anomri. Dask's traffic is pickled and
not encrypted: use it within a network that is trusted.

Work travels as bytes that only a worker's own thread opens. Opened by Dask, in the loop that also
answers the scheduler, it would import anomri there: that took 145 s on a busy machine, and workers
that do not answer are given up.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import islice
from operator import methodcaller
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
JOIN_SECONDS = 120  # until the first worker has to be there
AHEAD = 2  # scans per thread of the cluster that are handed out before their turn


class ClusterWorkerLost(AnomriError):
    """Workers died over one scan more often than the scheduler allows."""


def on_cluster(
    work: Callable[[Item], Value], items: Sequence[Item], address: str
) -> Generator[Value, None, None]:
    """Yield what ``work`` makes of each item, in their order; few are on their way at a time.

    Args:
        work: what is done with an item; travels to the workers.
        items: in the order of the results.
        address: of the scheduler.

    Raises:
        MissingPiece: distributed is not installed.
        UsageError: there is no scheduler, or no worker joins it.
        ClusterWorkerLost: workers were killed over one item.
    """
    rest, batch, opened = iter(enumerate(items)), uuid4().hex, _opening()
    with _client(address) as client:
        _wait_for_workers(client, address)
        handed_out: deque[Any] = deque()
        try:
            while True:
                for number, item in islice(rest, max(_room(client) - len(handed_out), 1)):
                    key = f"anomri-{number}-{batch}"
                    sealed = cloudpickle.dumps(partial(work, item))
                    handed_out.append(client.submit(opened, sealed, key=key, pure=False))
                if not handed_out:
                    return
                with _losses():
                    value = handed_out[0].result()
                handed_out.popleft()
                yield value
        finally:
            client.cancel(list(handed_out))


def _opening() -> Callable[[bytes], Any]:
    """Return what opens sealed work and does it; made of parts that need no anomri to be named."""
    try:
        from toolz import compose
    except ImportError as error:
        raise MissingPiece(MISSING) from error
    opened: Callable[[bytes], Any] = compose(methodcaller("__call__"), pickle.loads)
    return opened


def _room(client: Any) -> int:
    """Return how many items may be on their way; workers come and go."""
    threads: int = sum(client.ncores().values())
    return AHEAD * threads


def _wait_for_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=JOIN_SECONDS)
    except TimeoutError as error:
        raise UsageError(
            f"scheduler '{address}': no worker joined it in {JOIN_SECONDS} s. "
            f"Next: start some with `dask worker {address} --nworkers 4 --nthreads 1`."
        ) from error


@contextmanager
def _losses() -> Iterator[None]:
    from distributed import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise ClusterWorkerLost(str(error)) from error


def _client(address: str) -> AbstractContextManager[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingPiece(MISSING) from error
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
