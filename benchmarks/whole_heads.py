"""Measure the default detector on whole heads, where the brain has to be found first.

    python benchmarks/whole_heads.py DATA [--model default]

``DATA`` holds ``nichart``, ``lgg``, ``ms3seg_bids`` and the raw heads of ``open_ms_data``. No brain
mask is given. Prints a row per scan (Dice, ml marked, ml outside the reference, brain in ml,
seconds) and a row per set; the raw heads of ``open_ms_data`` have no reference of all lesions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomri import Detector, load
from anomri.errors import ScanError
from anomri.preprocessing import mask_to_native, read_truth
from anomri.scan import ScanFiles


@dataclass(frozen=True, slots=True)
class Measured:
    """One scan; ml on its own grid, Dice None where there is no reference."""

    dice: float | None
    marked_ml: float
    outside_ml: float | None
    brain_ml: float
    seconds: float


def heads(data: Path) -> Iterator[tuple[str, ScanFiles]]:
    """Yield the set's name and the files of every head."""
    for flair in sorted(data.glob("nichart/fl/*_FL.nii.gz")):
        name = flair.name.removesuffix("_FL.nii.gz")
        t1 = data / "nichart" / "t1" / f"{name}_T1.nii.gz"
        images = {"flair": flair} | ({"t1": t1} if t1.exists() else {})
        yield "nichart", _files(name, images, next(data.glob(f"nichart/wmh_auto/{name}_*")))
    for folder in sorted((data / "lgg" / "kaggle_3m").glob("TCGA_*")):
        images = dict.fromkeys(("flair", "t1ce", "t1"), folder)
        yield "lgg", _files(folder.name, images, folder)
    for flair in sorted(data.glob("ms3seg_bids/sub-*/anat/*_FLAIR.nii.gz")):
        label = flair.name.split("_")[0]
        masks = data / "ms3seg_bids" / "derivatives" / "manual" / label / "anat"
        images = {"flair": flair, "t1": flair.with_name(f"{label}_T1w.nii.gz")}
        yield "ms3seg_bids", _files(label, images, masks / f"{label}_label-lesion_mask.nii.gz")
    for flair in sorted(data.glob("open_ms_data/longitudinal/raw/*/*_FLAIR.nii.gz")):
        name = f"{flair.parent.name} {flair.name.split('_')[0]}"
        yield "open_ms_data, raw", _files(name, {"flair": flair}, None)


def measure(detector: Detector, files: ScanFiles) -> Measured:
    """Detect in one head and compare with its reference."""
    start = time.perf_counter()
    scan = detector.prepare(files)
    made = detector.detect_scan(scan)
    found = mask_to_native(made.mask, scan, made.margin)
    seconds, ml = time.perf_counter() - start, scan.native.voxel_ml
    brain_ml = np.count_nonzero(scan.brain) * scan.grid.voxel_ml
    if files.truth is None:
        return Measured(None, np.count_nonzero(found) * ml, None, brain_ml, seconds)
    truth = read_truth(files.truth, scan.native) > 0
    both, total = np.count_nonzero(found & truth), np.count_nonzero(found) + truth.sum()
    dice = 2 * both / total if total else 1.0
    outside = np.count_nonzero(found & ~truth) * ml
    return Measured(float(dice), np.count_nonzero(found) * ml, outside, brain_ml, seconds)


def _files(name: str, images: Mapping[str, Path], truth: Path | None) -> ScanFiles:
    return ScanFiles(subject=name, contrasts=dict(images), layout="folder", truth=truth)


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    detector = load(options.model, device="cpu")
    results: dict[str, list[Measured]] = {}
    print("| set | scan | Dice | ml marked | ml outside | brain, ml | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, files in heads(options.data):
        try:
            row = measure(detector, files)
        except ScanError as error:
            print(f"| {name} | {files.subject} | refused: {error.reason} | | | | |", flush=True)
            row = Measured(0.0, 0.0, 0.0, 0.0, 0.0)
        else:
            cells = [_cell(row.dice, 3), _cell(row.marked_ml, 1), _cell(row.outside_ml, 1)]
            cells += [_cell(row.brain_ml, 0), _cell(row.seconds, 1)]
            print(f"| {name} | {files.subject} | {' | '.join(cells)} |", flush=True)
        results.setdefault(name, []).append(row)
    print("\n| set | scans | Dice, mean | least | ml outside, median |\n|---|---|---|---|---|")
    for name, rows in results.items():
        dice = [row.dice for row in rows if row.dice is not None]
        outside = [row.outside_ml for row in rows if row.outside_ml is not None]
        if dice:
            mean, least, median = np.mean(dice), min(dice), np.median(outside)
            print(f"| {name} | {len(rows)} | {mean:.3f} | {least:.3f} | {median:.1f} |")


if __name__ == "__main__":
    main()
