"""Processor time of what users wait for, against the least that it must do; kept as JSON.

    python -m benchmarks.performance [--rounds 5] [--scans 100] [--case FOLDER] [--compare OLD]

* start-up: ``anomri --version`` and ``--help`` against an empty Python program;
* detection of one synthetic scan of 240 x 240 x 155 (four contrasts for ``default``), with all that
  it writes but the page, against reading the same files, passing as many slices through the
  network, and writing the same images again;
* the same for a scan of one's own, ``--case``: the synthetic one is no brain to the check against
  the template, which ends early;
* a second run over finished scans, per scan.

Processor time counts on one thread, with that of child processes, because wall time on a machine
that others use means little; ours and the reference take turns, and medians are printed. The result
goes to ``benchmarks/results/``; ``--compare`` prints an older one beside it. Run it with
OMP_NUM_THREADS=1 on a quiet machine before a figure is published.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch
from benchmarks.detection import brain, detector

from anomri import pipeline
from anomri.datasets import Found
from anomri.detector import Detector, load
from anomri.models import Reconstructor

RESULTS = Path(__file__).with_name("results")
CONTRASTS = {"default": ("flair", "t1ce", "t1", "t2"), "intensity": ("flair",), "vae": ("flair",)}
Row = dict[str, Any]


def processor_seconds() -> float:
    """Return what this process and its finished children have used."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def timed(function: Callable[[], object]) -> float:
    start = processor_seconds()
    function()
    return processor_seconds() - start


def row(name: str, ours: Sequence[float], least: Sequence[float]) -> Row:
    """Return a line of the table: medians, and the median of the ratios of each round."""
    ratios = [mine / bare for mine, bare in zip(ours, least, strict=True) if bare]
    return {
        "name": name,
        "seconds": round(statistics.median(ours), 4),
        "least_seconds": round(statistics.median(least), 4),
        "ratio": round(statistics.median(ratios), 2) if ratios else None,
    }


def start_up(option: str, rounds: int) -> Row:
    """Time a command that only prints, and measure its memory."""
    command = [sys.executable, "-m", "anomri.cli", option]
    empty = [sys.executable, "-c", "pass"]

    def run(words: list[str]) -> float:
        return timed(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL))

    pairs = [(run(command), run(empty)) for _ in range(rounds)]
    code = f"import subprocess, resource; subprocess.run({command!r}, stdout=subprocess.DEVNULL); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    peak = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ours, least = zip(*pairs, strict=True)
    return {**row(f"anomri {option}", ours, least), "mib": int(peak.stdout)}


def synthetic_scan(name: str, root: Path) -> Found:
    folder = root / name / "case"
    folder.mkdir(parents=True)
    for number, contrast in enumerate(CONTRASTS[name]):
        image = nib.Nifti1Image((brain() * (1 + number)).astype(np.int16), np.eye(4))
        nib.save(image, folder / f"{contrast}.nii.gz")
    return pipeline.find_scans(folder, layout="folder")


def detection(title: str, model: Detector, found: Found, rounds: int, root: Path) -> Row:
    """Time a detection in one scan, and reading, forward passes and writing alone."""
    pairs, paths = [], list(found.scans[0].contrasts.values())
    for number in range(rounds + 1):  # the first warms up
        out = root / title / f"out{number}"
        ours = timed(partial(detect, found, model, out))
        pairs.append((ours, timed(partial(least, paths, model, out))))
    ours_each, least_each = zip(*pairs[1:], strict=True)
    return row(f"detect with {title}", ours_each, least_each)


def detect(found: Found, model: Detector, out: Path) -> None:
    if failures := pipeline.detect(found, model, out).failures:
        raise SystemExit(f"nothing to time: {failures}")


def least(paths: Sequence[Path], model: Detector, out: Path) -> None:
    """Read the scan, pass its slices through the network if there is one, write the images."""
    for path in paths:
        values = nib.Nifti1Image.from_filename(path).get_fdata(dtype=np.float32)
    for network in model.first.networks:
        if network.has_parameters:
            slices = torch.from_numpy(values[56:184, 56:184].transpose(2, 0, 1)[:, None].copy())
            with torch.inference_mode():
                for part in torch.split(slices, 32):
                    cast(Reconstructor, network).reconstruct(part)
    for path in out.rglob("*.nii.gz"):
        image = nib.Nifti1Image.from_filename(path)
        again = nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine).to_bytes()
        path.with_suffix(".again").write_bytes(gzip.compress(again, 1))


def resume(scans: int, root: Path) -> Row:
    """Time a second run over finished scans of few voxels."""
    data, out = root / "cohort", root / "finished"
    for number in range(scans):
        folder = data / f"sub-{number:04d}" / "anat"
        folder.mkdir(parents=True)
        nib.save(small_head(number), folder / f"sub-{number:04d}_FLAIR.nii.gz")
    found, model = pipeline.find_scans(data), load("intensity", device="cpu")
    first = timed(lambda: detect(found, model, out)) / scans
    again = [timed(lambda: detect(pipeline.find_scans(data), model, out)) for _ in range(3)]
    seconds = statistics.median(again) / scans
    return {
        "name": f"detect again over {scans} finished scans, per scan",
        "seconds": round(seconds, 5),
        "least_seconds": None,
        "ratio": None,
        "first_run_seconds": round(first, 3),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def small_head(seed: int) -> nib.Nifti1Image:
    """Return an ellipsoid of noise with a bright block, 24 x 28 x 24 voxels of 7 mm."""
    shape, half = (24, 28, 24), np.array([10, 12, 10])[:, None, None, None]
    offsets = np.indices(shape) - np.array([12, 14, 12])[:, None, None, None]
    inside = ((offsets / half) ** 2).sum(axis=0) < 1
    values = np.where(inside, np.random.default_rng(seed).normal(300, 20, shape), 0)
    values[8:12, 8:12, 8:12] = 600
    return nib.Nifti1Image(values.astype(np.int16), np.diag([7, 7, 7, 1]))


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


def print_table(rows: Sequence[Row], old: Sequence[Row]) -> None:
    before = {line["name"]: line for line in old}
    print(f"{'processor time':56}{'s':>9}{'least':>9}{'ratio':>8}{'before':>9}")
    for line in rows:
        cells = [line["least_seconds"], line["ratio"], before.get(line["name"], {}).get("seconds")]
        shown = "".join(f"{'' if c is None else c:>9}" for c in cells)
        print(f"{line['name']:56}{line['seconds']:>9}{shown}")


def measure(rounds: int, scans: int, case: Path | None, root: Path) -> list[Row]:
    torch.set_num_threads(1)
    rows = [start_up(option, rounds) for option in ("--version", "--help")]
    for name in CONTRASTS:
        model = detector(name) if name == "vae" else load(name, device="cpu")
        rows.append(detection(name, model, synthetic_scan(name, root), rounds, root))
    if case:
        model, found = load("default", device="cpu"), pipeline.find_scans(case)
        rows.append(detection("default, the scan of --case", model, found, rounds, root))
    return [*rows, resume(scans, root)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--case", type=Path, help="folder of one scan, for `default`")
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        rows = measure(options.rounds, options.scans, options.case, Path(root))
    old = json.loads(options.compare.read_text("utf-8"))["rows"] if options.compare else []
    print_table(rows, old)
    found = {"anomri": version("anomri"), "machine": machine(), "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{time.strftime('%Y-%m-%d')}.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
