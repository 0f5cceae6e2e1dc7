"""Memory that arrays leave behind is used again instead of being mapped anew."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from anomri.files import allocator

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
