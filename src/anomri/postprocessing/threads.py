"""Parallel work on parts of one array, within the threads that this process may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TypeVar

import torch

Part = TypeVar("Part")
First = TypeVar("First")
Second = TypeVar("Second")

# Number of tasks that run at the same time and share the threads.
_CONCURRENT_TASKS = ContextVar("concurrent_tasks", default=1)


def available_threads() -> int:
    """Return the number of threads that the calling task may use.

    The total is PyTorch's, so that ``OMP_NUM_THREADS`` and a worker's share of the cores apply.
    """
    return max(torch.get_num_threads() // _CONCURRENT_TASKS.get(), 1)


def map_over_threads(function: Callable[[Part], First], parts: Sequence[Part]) -> list[First]:
    """Apply ``function`` to each part in a thread pool; the results keep the order of the parts.

    This pays off for NumPy code, which releases the interpreter lock inside its loops.
    """
    threads = min(available_threads(), len(parts))
    if threads < 2:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))


def run_in_parallel(
    first: Callable[[], First], second: Callable[[], Second]
) -> tuple[First, Second]:
    """Call two functions in parallel, each with half of the threads, and return both results.

    With a single thread they are called one after the other.
    """
    if available_threads() < 2:
        return first(), second()
    token = _CONCURRENT_TASKS.set(2 * _CONCURRENT_TASKS.get())
    try:
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(copy_context().run, first)
            result = second()
            return future.result(), result
    finally:
        _CONCURRENT_TASKS.reset(token)
