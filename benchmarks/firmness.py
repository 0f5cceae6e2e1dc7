"""Do firm findings hit lesions more often than faint ones?

    python benchmarks/firmness.py DATA [--split-file DATA/splits.tsv] [--models default,lesions]

``DATA`` holds ``brats2018`` and ``nichart``; the subjects of their split ``train`` are looked at.
A finding is firm when its firmness is at least 0.6, faint when the threshold a fifth higher leaves
nothing of it, soft between. It hits where a tenth of it or more lies in the reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anomri.datasets import find
from anomri.detector import Detector, load
from anomri.errors import ScanError
from anomri.pipeline import Selection
from anomri.postprocessing.components import Components
from anomri.reporting.formatting import FIRM

HIT = 0.1
SMALL_ML = 1.0
Row = tuple[float, float, float]  # firmness, ml, share in the reference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split-file", type=Path)
    parser.add_argument("--models", default="default,lesions")
    words = parser.parse_args()
    chosen = Selection.of_split(words.split_file or words.data / "splits.tsv", "train")
    for name in words.models.split(","):
        detector = load(name)
        for folder in ("brats2018", "nichart"):
            show(f"{name}, {folder}", list(rows(detector, words.data / folder, chosen)))


def rows(detector: Detector, folder: Path, chosen: Selection) -> Iterator[Row]:
    """Yield every finding of the chosen scans."""
    for files in find(folder).scans:
        if files not in chosen:
            continue
        try:
            detection = detector.detect_scan(detector.prepare(files))
        except ScanError as error:
            print(error)
            continue
        truth = detection.anomaly.scan.truth
        if truth is None:
            continue
        components = Components(detection.mask)
        sizes, inside = components.sizes()[1:], components.sums(truth > 0)[1:]
        peaks = [
            detection.anomaly.highest[components.box][components.labels == n].max()
            for n in range(1, components.count + 1)
        ]
        order = np.lexsort((-np.asarray(peaks), -sizes))
        for finding, which in zip(detection.findings, order, strict=True):
            if finding.firmness is not None:
                yield finding.firmness, finding.volume_ml, float(inside[which] / sizes[which])


def show(title: str, found: list[Row]) -> None:
    """Print one line per class of firmness, all findings and the small ones alone."""
    print(title, flush=True)
    for word, least, most in (("firm", FIRM, 9.0), ("soft", 1e-9, FIRM), ("faint", 0.0, 1e-9)):
        held = [row for row in found if least <= row[0] < most]
        small = [row for row in held if row[1] < SMALL_ML]
        print(f"  {word:6}{hits(held):>18}   under {SMALL_ML:g} ml {hits(small):>18}")


def hits(held: list[Row]) -> str:
    many = sum(share >= HIT for _, _, share in held)
    return f"{many} of {len(held)}" + (f" ({many / len(held):.0%})" if held else "")


if __name__ == "__main__":
    main()
