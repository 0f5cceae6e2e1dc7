"""Workers: same results in the same order, fair shares, and an end when one is killed."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import pytest

from anomri.batch import Executor, WorkerLost
from anomri.batch.dask import SchedulerLost, _losses
from anomri.batch.executor import fair_share
from anomri.errors import MissingPiece, UsageError

# pytest imports this file under a name that no other process can import.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

PATIENCE_S = 240  # a busy machine needs long to start two processes


def square(number: int) -> tuple[int, int, str]:
    return number * number, os.getpid(), os.environ.get("OMP_NUM_THREADS", "")


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise UsageError(f"number {number} is not wanted")


def test_a_killed_worker_is_an_error_and_no_hang() -> None:
    # First in this file: the workers that it starts anew serve the tests below, which saves starts.
    with pytest.raises(WorkerLost, match="same command again"):
        list(Executor(2).run(die, list(range(8))))
    # The next batch gets new workers.
    assert [value for value, *_ in Executor(2).run(square, [2, 3])] == [4, 9]


def test_two_workers_give_what_one_gives_in_the_same_order() -> None:
    items = list(range(12))
    alone = [value for value, _, _ in Executor().run(square, items)]
    two = list(Executor(2).run(square, items))
    assert [value for value, _, _ in two] == alone
    processes = {process for _, process, _ in two}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    assert {threads for _, _, threads in two} == {str(fair_share(2))}


def test_what_is_meant_for_the_user_arrives_as_it_is() -> None:
    with pytest.raises(UsageError, match="is not wanted"):
        list(Executor(2).run(refuse, [1, 2]))


def test_shares_are_fair_and_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [fair_share(workers) for workers in (1, 2, 3, 8, 50)] == [8, 4, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [fair_share(workers) for workers in (1, 8)] == [2, 1]


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"engine": "ray"}, {"engine": "dask"}, {"scheduler": "tcp://x:1"}]
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Executor(**wrong)  # type: ignore[arg-type]


@contextmanager
def patience(seconds: int) -> Iterator[None]:
    """Fail where a cluster does not answer, in place of waiting for ever."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"the cluster's processes did not answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Two worker processes of a Dask cluster on this machine, in which nobody dies twice."""
    distributed = pytest.importorskip("distributed", reason="the extra anomri[dask] is not here")
    dask = pytest.importorskip("dask")
    with warnings.catch_warnings(), patience(PATIENCE_S):
        warnings.simplefilter("ignore")
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as made,
        ):
            signal.alarm(0)
            yield made.scheduler_address


@pytest.mark.filterwarnings("ignore")
def test_dask_gives_the_same_from_two_processes(cluster: str) -> None:
    with patience(PATIENCE_S):
        two = list(Executor(engine="dask", scheduler=cluster).run(square, list(range(12))))
    assert [value for value, *_ in two] == [number**2 for number in range(12)]
    processes = {process for _, process, _ in two}
    assert os.getpid() not in processes
    assert len(processes) == 2


@pytest.mark.filterwarnings("ignore")
def test_dask_works_in_the_folder_of_the_command(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    executor = Executor(engine="dask", scheduler=cluster)
    assert list(executor.run(os.path.abspath, ["out"])) == [str(tmp_path / "out")]


def test_dask_says_what_is_meant_for_the_user_and_what_was_killed(cluster: str) -> None:
    executor = Executor(engine="dask", scheduler=cluster)
    with patience(PATIENCE_S):
        with pytest.raises(UsageError, match="is not wanted"):
            list(executor.run(refuse, [1, 2]))
        with pytest.raises(WorkerLost, match="same command again"):
            list(executor.run(die, list(range(8))))


def test_a_scheduler_that_ends_is_named() -> None:
    with pytest.raises(SchedulerLost, match="lost before the batch was finished"), _losses("a"):
        raise CancelledError


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_without_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra anomri[dask] is not here")
    monkeypatch.setattr("anomri.batch.dask.JOIN_SECONDS", 0.3)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as made,
        pytest.raises(UsageError, match="no worker joined"),
    ):
        list(Executor(engine="dask", scheduler=made.scheduler_address).run(square, [1]))


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra anomri[dask] is not here")
    monkeypatch.setattr("anomri.batch.dask.REACH_SECONDS", 0.3)
    with pytest.raises(UsageError, match="expected a Dask scheduler"):
        list(Executor(engine="dask", scheduler="tcp://127.0.0.1:9").run(square, [1]))


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingPiece, match=r"anomri\[dask\]"):
        list(Executor(engine="dask", scheduler="tcp://x:1").run(square, [1]))
