"""Work on parts of one array, shared out over the threads that this process may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TypeVar

import torch

Part = TypeVar("Part")
Value = TypeVar("Value")
Other = TypeVar("Other")

# How many are at work at the same time already: each has its share of the threads.
_SHARERS = ContextVar("sharers", default=1)


def threads_here() -> int:
    """Return how many threads may be used from here.

    There are as many as the networks have: ``OMP_NUM_THREADS``, and a worker's fair share of the
    cores, hold here too.
    """
    return max(torch.get_num_threads() // _SHARERS.get(), 1)


def side_by_side(work: Callable[[Part], Value], parts: Sequence[Part]) -> list[Value]:
    """Return what ``work`` makes of each part, in their order, whoever was faster.

    NumPy lets go of the interpreter inside its loops.
    """
    threads = min(threads_here(), len(parts))
    if threads < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))


def together(one: Callable[[], Value], other: Callable[[], Other]) -> tuple[Value, Other]:
    """Return what two functions return, at work at the same time where there are two threads."""
    if threads_here() < 2:
        return one(), other()
    shared = _SHARERS.set(2 * _SHARERS.get())
    try:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(copy_context().run, one)
            second = other()
            return first.result(), second
    finally:
        _SHARERS.reset(shared)
