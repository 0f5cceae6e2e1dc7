"""Run scripts of odd inputs, kept outside of this repository, against the command line.

    python benchmarks/cases.py FOLDER SCRATCH [--only '*/02_*' ...] [--limit 3600]

FOLDER holds scripts ``<kind>/<number>_<name>.py`` that build inputs, run the command and say what
came of it. They find the command in ANOMRI, digital phantoms as `anomri demo` makes them in
PHANTOMS, and a place to write in WORK. They run in a copy of FOLDER below SCRATCH, since some write
beside themselves; what they say is in SCRATCH/logs. A line that says FAULT, MISSING, TIMEOUT or
TRACEBACK, or a script that fails or exceeds the limit, makes the exit code 1: read those lines,
since the right answer to an odd input may be a refusal. Without the folder nothing is run, with a
word.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from anomri.pipeline.demonstration import DEMO_GLIOMAS, DEMO_HEALTHY, DEMO_LESIONS
from anomri.synthesis import make_phantoms

SCRIPT = re.compile(r"\d+_\w+\.py")
SUSPECT = re.compile(r"\b(FAULT|MISSING|TIMEOUT|TRACEBACK|Traceback|could not be built)\b")


def scripts_of(folder: Path, patterns: list[str]) -> list[Path]:
    """List the scripts, relative to their folder, that match one of the patterns; all if none."""
    found = sorted(path.relative_to(folder) for path in folder.glob("*/*.py"))
    scripts = [path for path in found if SCRIPT.fullmatch(path.name)]
    return [path for path in scripts if not patterns or any(map(path.match, patterns))]


def environment(scratch: Path) -> dict[str, str]:
    """Return the variables that tell the scripts where things are; phantoms are made once."""
    phantoms = Path(os.environ.get("PHANTOMS", scratch / "phantoms"))
    if not phantoms.is_dir():
        make_phantoms(phantoms, healthy=DEMO_HEALTHY, gliomas=DEMO_GLIOMAS, lesions=DEMO_LESIONS)
    command = os.environ.get("ANOMRI", str(Path(sys.executable).with_name("anomri")))
    places = {"PHANTOMS": str(phantoms.resolve()), "WORK": str(scratch / "work")}
    return {"OMP_NUM_THREADS": "1", **os.environ, "ANOMRI": command, **places}


def run(script: Path, log: Path, *, variables: dict[str, str], limit: float) -> list[str]:
    """Run one script; return its suspicious lines, and how it failed if it did."""
    words = [sys.executable, script.name]
    with log.open("w", encoding="utf-8") as stream:
        try:
            ended = subprocess.run(
                words,
                cwd=script.parent,
                env=variables,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=limit,
                check=False,
            )
            failed = [f"exit code {ended.returncode}"] if ended.returncode else []
        except subprocess.TimeoutExpired:
            failed = [f"not finished after {limit:g} s"]
    lines = log.read_text("utf-8", errors="replace").splitlines()
    return [line.strip()[:200] for line in lines if SUSPECT.search(line)] + failed


def main() -> None:
    """Run the scripts and print a line for each, followed by its suspicious lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="patterns such as */02_*")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for each script")
    given = parser.parse_args()
    scripts = scripts_of(given.folder, given.only) if given.folder.is_dir() else []
    if not scripts:
        print(f"no cases run: {given.folder.name or 'CASES'} holds no scripts <kind>/<number>_*.py")
        return
    scratch = given.scratch.resolve()
    copy, logs = scratch / "cases", scratch / "logs"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(given.folder, copy)
    logs.mkdir(parents=True, exist_ok=True)
    variables, suspicious = environment(scratch), 0
    for script in scripts:
        began = time.monotonic()
        log = logs / f"{script.parent.name}_{script.stem}.txt"
        lines = run(copy / script, log, variables=variables, limit=given.limit)
        seconds = time.monotonic() - began
        print(f"{script.as_posix()}: {seconds:.0f} s, {len(lines)} to look at", flush=True)
        print(*(f"    {line}" for line in lines), sep="\n", end="\n" if lines else "", flush=True)
        suspicious += len(lines)
    sys.exit(suspicious > 0)


if __name__ == "__main__":
    main()
