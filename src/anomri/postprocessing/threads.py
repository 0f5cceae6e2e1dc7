"""Work on parts of one array, shared out over the threads that this process may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")
Value = TypeVar("Value")
Other = TypeVar("Other")


def side_by_side(work: Callable[[Part], Value], parts: Sequence[Part]) -> list[Value]:
    """Return what ``work`` makes of each part, in their order, whoever was faster.

    NumPy lets go of the interpreter inside its loops. There are as many threads as the networks
    have: ``OMP_NUM_THREADS``, and a worker's fair share of the cores, hold here too.
    """
    threads = min(torch.get_num_threads(), len(parts))
    if threads < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))


def together(one: Callable[[], Value], other: Callable[[], Other]) -> tuple[Value, Other]:
    """Return what two functions return, at work at the same time where there are two threads."""
    if torch.get_num_threads() < 2:
        return one(), other()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(one)
        second = other()
        return first.result(), second
