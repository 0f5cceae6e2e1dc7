"""Time and memory of what users wait for, against the least that it must do; kept as JSON.

    OMP_NUM_THREADS=1 python -m benchmarks.performance --markdown      # at most 12 minutes
    OMP_NUM_THREADS=1 python -m benchmarks.performance --only start,detect --quick
    OMP_NUM_THREADS=1 python -m benchmarks.performance --scans 1000 --minutes 20

Groups of rows: start, detect, head, memory, cohorts, workers, training, prepare, mixture, follow;
see :mod:`benchmarks.performance_rows`. Networks of volumes are measured at 2 mm, and the segmenter
with 8 filters, so that a round takes seconds.

Processor time counts on one thread, with that of child processes, because wall time on a machine
that others use means little; ours and the reference take turns, and medians are printed. A group
that would begin after the time limit is left out, and named. The result goes to
``benchmarks/results/``; ``--compare`` prints an older one beside it. Run it on a quiet machine
before a figure is published: the load of the machine is kept with the result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.performance_rows import FAMILIES, GROUPS, Row, Setting, one_thread

RESULTS = Path(__file__).with_name("results")
COLUMNS = ("seconds", "least_seconds", "ratio", "wall_seconds", "mib")
HEADINGS = ("processor time", "s", "least", "ratio", "wall s", "MiB", "before")


def machine() -> dict[str, Any]:
    """Return what the figures depend on, without names of machines, people or folders."""
    name = platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(": ")[1] for line in lines if "model name" in line), name)
    packages = {name: version(name) for name in ("numpy", "scipy", "torch", "SimpleITK")}
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        **packages,
    }


def measured(setting: Setting, groups: Sequence[str], minutes: float) -> Iterator[Row]:
    """Yield the rows of the groups that begin within the time limit."""
    one_thread()
    start = time.monotonic()
    for name in groups:
        if time.monotonic() - start > 60 * minutes:
            print(f"not measured within {minutes:g} minutes: {name}", flush=True)
            continue
        yield from GROUPS[name](setting)


def cells(line: Row, before: Row) -> list[str]:
    """Return the cells of a line, empty where nothing was measured."""
    values = [line.get(name) for name in COLUMNS] + [before.get("seconds")]
    return ["" if value is None else f"{value}" for value in values]


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a table for the documentation."""
    headings = f"| {' | '.join(HEADINGS[:-1])} |"
    lines = (f"| {' | '.join([line['name'], *cells(line, {})[:-1]])} |" for line in rows)
    return "\n".join([headings, "|---|" + "---:|" * len(COLUMNS), *lines])


def main() -> None:
    """Measure, print and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, separated by commas")
    parser.add_argument("--quick", action="store_true", help="one round and ten scans at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scans", type=int, default=100, help="of the largest cohort")
    parser.add_argument("--families", default=",".join(FAMILIES), help="that are trained")
    parser.add_argument("--case", type=Path, help="folder of one scan, for `default`")
    parser.add_argument("--minutes", type=float, default=12, help="no group begins later")
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--markdown", action="store_true", help="print it as Markdown, too")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    groups = options.only.split(",")
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"unknown groups {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    old = json.loads(options.compare.read_text("utf-8"))["rows"] if options.compare else []
    before, rows, load = {line["name"]: line for line in old}, list[Row](), machine()
    print(f"{HEADINGS[0]:56}" + "".join(f"{heading:>9}" for heading in HEADINGS[1:]))
    with tempfile.TemporaryDirectory() as root:
        rounds, scans = (1, 10) if options.quick else (options.rounds, options.scans)
        families = options.families.split(",")
        setting = Setting(Path(root), rounds, scans, families, options.case)
        for line in measured(setting, groups, options.minutes):
            shown = "".join(f"{cell:>9}" for cell in cells(line, before.get(line["name"], {})))
            print(f"{line['name']:56}{shown}", flush=True)
            rows.append(line)
    if options.markdown:
        print(f"\n{markdown(rows)}")
    found = {"anomri": version("anomri"), "machine": load, "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{time.strftime('%Y-%m-%d-%H%M')}.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
