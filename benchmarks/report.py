"""How long the page of a large cohort takes, and whether memory stays flat.

The same result is written under many names, and the page is built for a few and for all of them::

    python benchmarks/report.py          # 20 and 100 subjects
    python benchmarks/report.py 400
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from anomri.datasets import find
from anomri.detector import load
from anomri.pipeline import detect
from anomri.reporting import write_page
from anomri.synthesis import make_phantoms

FEW, MANY = 20, 100


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    print("subjects  s per subject  peak memory (MB)  largest file (MB)  files")
    with tempfile.TemporaryDirectory() as name:
        one = _one_result(Path(name) / "one")
        for count in (FEW, many):
            out = _copies(one, Path(name) / f"of_{count}", count)
            # A process of its own each: a peak never falls.
            with get_context("spawn").Pool(1) as pool:
                seconds, peak = pool.apply(_build, (out,))
            pages = [out / "report.html", *(out / "report").glob("*.html")]
            largest = max(page.stat().st_size for page in pages) / 1e6
            row = f"{seconds / count:>13.2f}  {peak:>16.0f}  {largest:>17.1f}  {len(pages):>5}"
            print(f"{count:>8}  {row}")


def _one_result(folder: Path) -> Path:
    make_phantoms(folder, healthy=0, gliomas=1, lesions=0)
    detect(find(folder, "phantom"), load("intensity", device="cpu"), folder / "out")
    return next((folder / "out").glob("sub-*"))


def _copies(one: Path, out: Path, count: int) -> Path:
    for number in range(count):
        label = f"sub-{number:04d}"
        shutil.copytree(one, out / label)
        for path in (out / label / "anat").iterdir():
            own = path.rename(path.with_name(path.name.replace(one.name, label)))
            if own.suffix == ".json":
                own.write_text(own.read_text().replace(f'"{one.name}"', f'"{label}"'))
    return out


def _build(out: Path) -> tuple[float, float]:
    started = time.perf_counter()
    write_page(out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.perf_counter() - started, peak


if __name__ == "__main__":
    main()
