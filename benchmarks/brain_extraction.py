"""Measure the brains that anomri finds in whole heads against reference masks.

    python benchmarks/brain_extraction.py DATA [-o FOLDER] [--method deepbet|hdbet] [--every N]
    python benchmarks/brain_extraction.py DATA --contrasts

``DATA`` holds ``ixi_t1``, ``nichart`` and ``ms3seg_bids`` (whole heads with masks) and the
stripped sets ``brats2018``, ``wmh`` and ``open_ms_data``. Prints one row per data set and contrast:
Dice, volume ratio, refusals and seconds; with ``-o`` also writes a row per scan.

With ``--contrasts`` the heads of which there are FLAIR and T1 are measured on FLAIR's grid:
deepbet's brain in FLAIR, the one in T1 carried there by the alignment of preparation, and the mean
of both.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from anomri.errors import QualityRefused
from anomri.files import write_tsv
from anomri.preprocessing import grid_to_ras, volume_to_ras
from anomri.preprocessing.alignment import align_contrast
from anomri.preprocessing.brain import find_brain
from anomri.preprocessing.brain.deepbet import MIN_PROBABILITY, deepbet_brain
from anomri.preprocessing.connected_components import largest_filled_component
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.reading.scan_images import read_image
from anomri.preprocessing.reading.segmentations import read_segmentation
from anomri.preprocessing.resampling import resample_image
from anomri.scan import Mask, Volume

Case = tuple[str, Path, Path]


def whole_heads(data: Path) -> Iterator[Case]:
    """Name, scan and mask of every whole head."""
    for name, folder, pattern in (
        ("ixi_t1 T1", data / "ixi_t1", "t1/*_T1.nii.gz"),
        ("nichart T1", data / "nichart", "t1/*_T1.nii.gz"),
        ("nichart FLAIR", data / "nichart", "fl/*_FL.nii.gz"),
    ):
        for scan in sorted(folder.glob(pattern)):
            subject = scan.name.rsplit("_", 1)[0]
            yield name, scan, folder / "dlmuse_seg" / f"{subject}_T1_DLMUSE.nii.gz"
    for contrast in ("T1w", "FLAIR"):
        root = data / "ms3seg_bids"
        for scan in sorted(root.glob(f"sub-*/anat/*_{contrast}.nii.gz")):
            label = scan.name.split("_")[0]
            mask = root / "derivatives/manual" / label / "anat" / f"{label}_desc-brain_mask.nii.gz"
            yield f"ms3seg {contrast} (test)", scan, mask


def pairs(data: Path) -> Iterator[tuple[str, Path, Path, Path]]:
    """Name, FLAIR, T1 and mask of every whole head that has both."""
    heads = list(whole_heads(data))
    second = {"nichart T1": "nichart FLAIR", "ms3seg T1w (test)": "ms3seg FLAIR (test)"}
    flair = {(name, mask): scan for name, scan, mask in heads}
    for name, scan, mask in heads:
        if name in second:
            yield second[name], flair[second[name], mask], scan, mask


def stripped(data: Path) -> Iterator[tuple[str, Path]]:
    """Name and scan of every stripped one."""
    for name, pattern in (
        ("brats2018 FLAIR", "brats2018/*/*/*_flair.nii*"),
        ("wmh FLAIR", "wmh/*/flair.nii.gz"),
        ("open_ms FLAIR", "open_ms_data/cross_sectional/MNI/*/FLAIR*.nii.gz"),
        ("open_ms T1CE", "open_ms_data/cross_sectional/MNI/*/T1POST*.nii.gz"),
    ):
        for scan in sorted(data.glob(pattern)):
            yield name, scan


def measure(scan: Path, mask: Path, method: str) -> dict[str, float | str]:
    """Return Dice, volume ratio, ml and seconds of one whole head."""
    image, truth = read_image(scan), read_segmentation(mask)
    held = truth.with_values((truth.values > 0).astype(np.float32))
    expected = volume_to_ras(
        resample_image(held, image.grid, linear=True).values >= 0.5, image.grid
    )
    volume, grid = volume_to_ras(image.values, image.grid), grid_to_ras(image.grid)
    start = time.perf_counter()
    refused, found = "", np.zeros(volume.shape, bool)
    try:
        found = find_brain(volume, grid, method=method, name=scan.name)[0]  # type: ignore[arg-type]
    except QualityRefused as error:
        refused = error.reason
    seconds = time.perf_counter() - start
    return {
        "scan": scan.name,
        "dice": dice(found, expected),
        "volume_ratio": np.count_nonzero(found) / np.count_nonzero(expected),
        "ml": np.count_nonzero(found) * grid.voxel_ml,
        "seconds": seconds,
        "refused": refused,
    }


def measure_pair(flair: Path, t1: Path, mask: Path) -> dict[str, float]:
    """Return the Dice of the brains that deepbet finds in FLAIR, in T1 and in both, by name.

    The reference was drawn on T1 and is carried to FLAIR's grid like what was found there.
    """
    first, second = _upright(read_image(flair)), _upright(read_image(t1))
    found = deepbet_brain(first.values)
    moved, _ = align_contrast(second, first, first.values, found.mask)

    def carried(values: Volume) -> Volume:
        image = moved.with_values(values)
        placed: Volume = resample_image(image, first.grid, linear=True).values
        return placed

    truth = read_segmentation(mask)
    truth = truth.with_values((truth.values > 0).astype(np.float32))
    expected = carried(resample_image(truth, second.grid, linear=True).values) >= 0.5
    in_t1 = carried(deepbet_brain(second.values).probability)
    answers: dict[str, Volume] = {
        "FLAIR": found.probability,
        "T1": in_t1,
        "mean of both": np.asarray((found.probability + in_t1) / 2, dtype=np.float32),
    }
    return {
        name: dice(largest_filled_component(answer > MIN_PROBABILITY), expected)
        for name, answer in answers.items()
    }


def _upright(image: RawImage) -> RawImage:
    """Return an image whose axes point right, anterior and superior."""
    values = np.ascontiguousarray(volume_to_ras(image.values, image.grid))
    return replace(image, values=values, grid=grid_to_ras(image.grid))


def print_pairs(data: Path) -> None:
    """Measure every pair and print a row per set and contrast that was looked at."""
    results: dict[str, list[dict[str, float]]] = defaultdict(list)
    for name, flair, t1, mask in pairs(data):
        results[name].append(measure_pair(flair, t1, mask))
        cells = " ".join(f"{key} {value:.3f}" for key, value in results[name][-1].items())
        print(f"{name} {flair.name}: {cells}", file=sys.stderr)
    print("| whole heads | brain found in | scans | Dice, mean | least |\n|---|---|---|---|---|")
    for name, found in results.items():
        for key in found[0]:
            values = [one[key] for one in found]
            print(f"| {name} | {key} | {len(values)} | {np.mean(values):.3f} | {min(values):.3f} |")


def dice(a: Mask, b: Mask) -> float:
    """Overlap of two masks."""
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def row(name: str, results: list[dict[str, float | str]]) -> str:
    """Return one line of the table."""
    kept = [r for r in results if not r["refused"]]

    def of(key: str) -> list[float]:
        return [float(r[key]) for r in kept] or [float("nan")]

    return (
        f"| {name} | {len(results)} | {np.mean(of('dice')):.3f} | {np.min(of('dice')):.3f} "
        f"| {np.mean(of('volume_ratio')):.2f} | {len(results) - len(kept)} "
        f"| {np.median(of('seconds')):.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--method", default="deepbet", choices=("deepbet", "hdbet"))
    parser.add_argument("--every", type=int, default=1, help="only every N-th head of a set")
    parser.add_argument("--contrasts", action="store_true", help="compare FLAIR, T1 and both")
    options = parser.parse_args()
    if options.contrasts:
        print_pairs(options.data)
        return
    results = defaultdict(list)
    seen: Counter[str] = Counter()
    for name, scan, mask in whole_heads(options.data):
        seen[name] += 1
        if (seen[name] - 1) % options.every == 0:
            results[name].append(measure(scan, mask, options.method))
            print(f"{name} {scan.name}: {results[name][-1]['dice']:.3f}", file=sys.stderr)
    print("| whole heads | scans | Dice, mean | least | volume ratio | refused | seconds, median |")
    print("|---|---|---|---|---|---|---|")
    for name, found in results.items():
        print(row(name, found))
    kept = defaultdict(list)
    for name, scan in stripped(options.data):
        image = read_image(scan)
        notes = find_brain(volume_to_ras(image.values, image.grid), grid_to_ras(image.grid))[1]
        kept[name].append(not notes)
    print("\n| stripped | scans | recognised |\n|---|---|---|")
    for name, known in kept.items():
        print(f"| {name} | {len(known)} | {sum(known)} |")
    if options.out:
        rows = [[name, *r.values()] for name, found in results.items() for r in found]
        columns = ["set", "scan", "dice", "volume_ratio", "ml", "seconds", "refused"]
        write_tsv(options.out / "brain_extraction.tsv", columns, rows)


if __name__ == "__main__":
    main()
