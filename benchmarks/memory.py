"""Peak memory and seconds per scan against the size of the cohort.

Each size runs in a process of its own, which detects on that many phantoms and says how much
memory it needed at most. Flat columns are what is wanted.

    python benchmarks/memory.py [--sizes 2 8 32]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from anomri import pipeline
from anomri.detector import load
from anomri.synthesis import make_phantoms

MIB = 1024  # ru_maxrss is in KiB on Linux


def detect(cohort: Path, out: Path) -> None:
    """Detect on a whole cohort and print seconds and peak MiB."""
    found = pipeline.find_scans(cohort, layout="phantom")
    model = load("intensity", device="cpu")
    start = time.perf_counter()
    pipeline.detect(found, model, out)
    pipeline.report(out)
    seconds = (time.perf_counter() - start) / len(found.scans)
    print(f"{seconds:.3f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--one", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        detect(*options.one)
        return
    print(f"{'scans':>6s} {'seconds per scan':>17s} {'peak MiB':>9s}")
    with tempfile.TemporaryDirectory() as root:
        for size in options.sizes:
            cohort = make_phantoms(
                Path(root) / str(size), healthy=size, gliomas=0, lesions=0, spacing_mm=3.0
            )
            command = [sys.executable, __file__, "--one", str(cohort), f"{root}/out{size}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, memory = done.stdout.split()
            print(f"{size:6d} {seconds:>17s} {memory:>9s}")


if __name__ == "__main__":
    main()
