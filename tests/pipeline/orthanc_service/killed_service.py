"""A service that is killed at each of its steps in turn; run by ``test_kills.py`` as a program.

It is one process with one thread, so that it can be forked. A child is killed, as by SIGKILL, at
its n-th step; the next one goes on from what is on disk. A step is before or after each request,
each transaction, each rename and each removal.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sqlite3
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anomri.pipeline import Orthanc, Schedule, serve
from anomri.pipeline.orthanc_service.journal import Journal

KILLED = 9
NEVER = 1_000_000
left = NEVER


def step() -> None:
    """End the process if this is the step to be killed at."""
    global left
    left -= 1
    if left == 0:
        os._exit(KILLED)


def counted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with a step before and after it."""

    def called(*values: Any, **options: Any) -> Any:
        step()
        result = function(*values, **options)
        step()
        return result

    return called


def child(address: str, work: Path, steps: int, responder: Any) -> int:
    """Run the service once in a process of its own; return its exit code."""
    global left
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    left = steps
    try:
        serve(Orthanc(address), responder, work, Schedule(once=True))
    finally:
        os._exit(1 if sys.exc_info()[0] else 0)


def main(address: str, work: Path, conftest: str) -> None:
    """Kill a service at each step, go on, and print what the server says afterwards."""
    spec = importlib.util.spec_from_file_location("fakes", conftest)
    assert spec
    assert spec.loader
    fakes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fakes)
    responder = fakes.FakeResponder()
    sqlite3.connect = fakes.unflushed
    for owner, name in (
        (urllib.request.OpenerDirector, "open"),
        (os, "replace"),
        (os, "rename"),
        (shutil, "rmtree"),
    ):
        setattr(owner, name, counted(getattr(owner, name)))
    for name in ("note", "begin", "end", "send", "finish"):
        setattr(Journal, name, counted(getattr(Journal, name)))
    report, steps, code = [], 0, KILLED
    while code == KILLED:
        steps += 1
        urllib.request.urlopen(f"{address}/test/reset", timeout=10)
        runs = (steps, NEVER, NEVER) if steps % 5 == 0 else (steps, NEVER)
        codes = [child(address, work / f"{steps}", at, responder) for at in runs]
        code = codes[0]
        with urllib.request.urlopen(f"{address}/test/state", timeout=10) as answer:
            stored = json.load(answer)
        rest = [str(path) for path in (work / f"{steps}" / "studies").glob("*")]
        report.append({"codes": codes, "stored": stored, "rest": rest})
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
