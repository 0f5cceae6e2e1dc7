"""Work that is shared out over threads, and threads that are shared out over work."""

from __future__ import annotations

import threading

import pytest
import torch

from anomri.postprocessing import together
from anomri.postprocessing.threads import side_by_side, threads_here


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)


def test_two_at_work_have_half_of_the_threads_each() -> None:
    assert together(threads_here, threads_here) == (2, 2)
    nested = together(lambda: together(threads_here, threads_here), threads_here)
    assert nested == ((1, 1), 2)
    assert threads_here() == 4


def test_both_are_at_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)
    assert sorted(together(both.wait, both.wait)) == [0, 1]


def test_an_error_of_either_comes_out_and_the_threads_come_back() -> None:
    for work in ((fail, threads_here), (threads_here, fail)):
        with pytest.raises(ValueError, match="on purpose"):
            together(*work)
        assert threads_here() == 4


def test_results_stand_in_the_order_of_the_parts() -> None:
    first_waits = threading.Event()

    def work(part: int) -> int:
        if part == 0:
            assert first_waits.wait(10)
        first_waits.set()
        return part * 10

    assert side_by_side(work, [0, 1, 2]) == [0, 10, 20]


def fail() -> int:
    raise ValueError("on purpose")
