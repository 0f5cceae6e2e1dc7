"""Kill commands at each of their file-system events; the next run must end as if nothing had been.

    python benchmarks/kills.py demo/phantoms SCRATCH [--every 1] [prepare calibrate detect report]

Each command first runs undisturbed: that counts its events below the output folder (files opened to
write, folders made, renames, removals) and gives the reference. Then it is started once for each
event, ends itself there with SIGKILL, and is run again. The second run must end with 0, leave the
files of the reference and no draft. Nothing but the wall clock may differ.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anomri.files.atomic import DRAFT

EVENTS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TIMED = ("seconds", "stamp")


def child(folder: str, event: int, words: list[str]) -> None:
    """Run a command in this process and end it at an event; 0 counts them into a file."""
    process, seen = os.getpid(), 0

    def hook(name: str, args: tuple[Any, ...]) -> None:
        nonlocal seen
        opened = name == "open" and isinstance(args[2], int) and args[2] & WRITING
        if not (opened or name in EVENTS) or isinstance(args[0], int) or os.getpid() != process:
            return
        if not os.path.abspath(os.fsdecode(args[0])).startswith(folder):  # noqa: PTH100 - in a hook
            return
        seen += 1
        if seen == event:
            os.kill(process, signal.SIGKILL)

    from anomri.cli import main

    sys.addaudithook(hook)
    sys.argv = ["anomri", *words]
    try:
        main()
    finally:
        print(f"events {seen}", file=sys.stderr)


def run(folder: Path, event: int, words: list[str]) -> tuple[int, int]:
    """Return the exit code of a command and how many events it had."""
    command = [sys.executable, __file__, "--child", str(folder), str(event), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    counts = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("events ")]
    return done.returncode, int(counts[-1]) if counts else 0


def tree(folder: Path) -> dict[str, str]:
    """Return a digest of what each file says, without times."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in files
        if "logs" not in path.parts and path.suffix != ".html"  # pages show the seconds
    }


def digest(path: Path) -> str:
    """Return a digest of what a file says."""
    content = path.read_bytes()
    if path.suffix == ".json":
        content = json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()
    elif path.suffix == ".gz":
        content = gzip.decompress(content)
    elif path.suffix == ".safetensors":  # the header's keys have no fixed order
        size = int.from_bytes(content[:8], "little")
        header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True)
        content = header.encode() + content[8 + size :]
    elif path.name == "summary.tsv":
        lines = [line.split("\t") for line in content.decode().splitlines()]
        column = lines[0].index("seconds")
        content = repr([line[:column] + line[column + 1 :] for line in lines]).encode()
    return hashlib.sha256(content).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k.lower() not in TIMED}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def kills(words: list[str], out: Path, every: int, before: Callable[[], object]) -> list[str]:
    """Kill a command at its events; return what went wrong."""

    def anew() -> None:
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir(parents=True)
        before()

    anew()
    code, events = run(out.parent, 0, words)
    if code:
        return [f"undisturbed: exit code {code}"]
    wanted, faults = tree(out), []
    tried = range(1, events + 1, every)
    for event in tried:
        anew()
        killed, _ = run(out.parent, event, words)
        code, _ = run(out.parent, 0, words)
        got = tree(out)
        left = [path.name for path in out.parent.rglob(f"{DRAFT}*")]
        differing = sorted(name for name in {*wanted, *got} if wanted.get(name) != got.get(name))
        if killed != -signal.SIGKILL or code or left or differing:
            said = (
                f"event {event}: killed {killed}, then {code}, drafts {left}, differs {differing}"
            )
            print(said, flush=True)
            faults.append(said)
    print(
        f"{' '.join(words[:2])}: {len(tried)} kills at {events} events, {len(faults)} faults",
        flush=True,
    )
    return faults


def main() -> None:
    """Kill what was asked for."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phantoms", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("commands", nargs="*")
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    scratch, phantoms = given.scratch.resolve(), given.phantoms.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    two, ready, results = scratch / "two", scratch / "ready", scratch / "results"
    for name in ("sub-13", "sub-20"):
        shutil.copytree(phantoms / name, two / name, dirs_exist_ok=True)
    for name in ("participants.tsv", "phantoms.json"):
        shutil.copy(phantoms / name, two / name)
    run(scratch, 0, ["prepare", str(two), "--recipe", "default", "-o", str(ready)])
    run(scratch, 0, ["detect", str(two), "-o", str(results)])
    out = scratch / "killed" / "out"
    # What is done before each try: only a report needs something.
    commands: dict[str, tuple[list[str], Callable[[], object]]] = {
        "prepare": (["prepare", str(two), "-o", str(out)], list),
        "calibrate": (["calibrate", "default", "--data", str(ready), "-o", str(out)], list),
        "detect": (["detect", str(two), "-o", str(out)], list),
        "report": (["report", str(out)], lambda: shutil.copytree(results, out)),
    }
    faults = []
    for name in given.commands or commands:
        words, before = commands[name]
        faults += kills(words, out, given.every, before)
    print("\n".join(faults))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
