"""Memory that arrays leave behind is used again instead of being mapped anew."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import weakref

import pytest

from anomri.files import allocator, garbage_collected

# Prints how many pages the system had to map for the second array of the same size.
PAGES = """
import resource
import numpy as np
from anomri.files import keep_freed_memory
keep_freed_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(1 << 23)
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(pages)
"""
UNSET = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}


def pages(**variables: str) -> int:
    environment = {**UNSET, **variables}
    done = subprocess.run(
        [sys.executable, "-c", PAGES], env=environment, capture_output=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_second_array_needs_no_new_pages_unless_the_user_set_otherwise() -> None:
    assert pages() < pages(MALLOC_MMAP_MAX_="65536")


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(allocator, "ctypes", None)
    allocator.keep_freed_memory()


class Node:
    """An object that refers to itself, as the parts of a figure refer to each other."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize("enabled", [True, False])
def test_cycles_of_a_function_are_freed_at_its_end(
    enabled: bool,
) -> None:
    left: list[weakref.ref[Node]] = []

    @garbage_collected()
    def work() -> None:
        left.extend(weakref.ref(Node()) for _ in range(3))
        assert not gc.isenabled()

    before = gc.get_threshold()
    try:
        gc.set_threshold(10**9)
        gc.enable() if enabled else gc.disable()
        work()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
        gc.set_threshold(*before)
    assert [node() is None for node in left] == 3 * [enabled]
