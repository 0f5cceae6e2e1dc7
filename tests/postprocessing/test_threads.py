"""Parallel work within the available threads."""

from __future__ import annotations

import threading

import pytest
import torch

from anomri.postprocessing import run_in_parallel
from anomri.postprocessing.threads import available_threads, map_over_threads


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)


def test_two_at_work_have_half_of_the_threads_each() -> None:
    assert run_in_parallel(available_threads, available_threads) == (2, 2)
    nested = run_in_parallel(
        lambda: run_in_parallel(available_threads, available_threads), available_threads
    )
    assert nested == ((1, 1), 2)
    assert available_threads() == 4


def test_both_are_at_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)
    assert sorted(run_in_parallel(both.wait, both.wait)) == [0, 1]


def test_an_error_of_either_comes_out_and_the_threads_come_back() -> None:
    for work in ((fail, available_threads), (available_threads, fail)):
        with pytest.raises(ValueError, match="on purpose"):
            run_in_parallel(*work)
        assert available_threads() == 4


def test_results_stand_in_the_order_of_the_parts() -> None:
    first_waits = threading.Event()

    def work(part: int) -> int:
        if part == 0:
            assert first_waits.wait(10)
        first_waits.set()
        return part * 10

    assert map_over_threads(work, [0, 1, 2]) == [0, 10, 20]


def fail() -> int:
    raise ValueError("on purpose")
