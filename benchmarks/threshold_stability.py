"""Do stable findings hit lesions more often than those that vanish at a higher threshold?

    python benchmarks/threshold_stability.py DATA [--split-file SPLITS] [--models default,lesions]

``DATA`` holds ``brats2018`` and ``nichart``; the subjects of their split ``train`` are evaluated.
A finding is stable when its threshold stability is at least 0.6, vanishing when the threshold a
fifth higher leaves nothing of it, sensitive in between. It is a hit when at least a tenth of it
lies in the reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from anomri.datasets import find
from anomri.detector import Detector, load
from anomri.errors import ScanError
from anomri.pipeline import Selection
from anomri.postprocessing import number_lesions
from anomri.reporting.formatting import STABLE

HIT = 0.1
SMALL_ML = 1.0
Row = tuple[float, float, float]  # threshold stability, ml, share in the reference


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
        numbers = number_lesions(detection.mask, detection.anomaly)
        for finding in detection.findings:
            if finding.threshold_stability is not None:
                share = float((truth[numbers == finding.number] > 0).mean())
                yield finding.threshold_stability, finding.volume_ml, share


def show(title: str, found: list[Row]) -> None:
    """Print one line per class of threshold stability: all findings, and the small ones alone."""
    print(title, flush=True)
    classes = (("stable", STABLE, 9.0), ("sensitive", 1e-9, STABLE), ("vanishing", 0.0, 1e-9))
    for name, least, most in classes:
        findings = [row for row in found if least <= row[0] < most]
        small = [row for row in findings if row[1] < SMALL_ML]
        print(f"  {name:9}{hits(findings):>18}   under {SMALL_ML:g} ml {hits(small):>18}")


def hits(findings: list[Row]) -> str:
    many = sum(share >= HIT for _, _, share in findings)
    return f"{many} of {len(findings)}" + (f" ({many / len(findings):.0%})" if findings else "")


if __name__ == "__main__":
    main()
