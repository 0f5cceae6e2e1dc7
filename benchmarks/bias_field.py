"""What N4 does to the model `intensity`: Dice with and without it, on scans one may choose on.

    python benchmarks/bias_field.py DATA [--glioma 4] [--elderly 5]

DATA holds `splits.tsv` and the folders `brats2018` and `nichart`; only the split `train` is read.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import anomri
from anomri.datasets import find
from anomri.detector import Detector
from anomri.pipeline import Selection
from anomri.preprocessing import mask_to_native, read_truth
from anomri.recipe import Step
from anomri.scan import ScanFiles


def with_n4(model: Detector) -> Detector:
    preparation = model.recipe.preparation.model_copy(update={"bias_field": Step(name="n4")})
    recipe = model.recipe.model_copy(update={"preparation": preparation})
    return Detector({recipe.name: model.first.with_recipe(recipe)})


def dice(model: Detector, files: ScanFiles, expert: Path) -> float:
    scan = model.prepare(files)
    found = mask_to_native(model.detect_scan(scan).mask, scan)
    truth = read_truth(expert, scan.native) > 0
    return float(2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--glioma", type=int, default=4)
    parser.add_argument("--elderly", type=int, default=5)
    options = parser.parse_args()
    plain = anomri.load("intensity", device="cpu")
    models = (plain, with_n4(plain))
    train = Selection.of_split(options.data / "splits.tsv", "train")
    for folder, count in (("brats2018", options.glioma), ("nichart", options.elderly)):
        scans = [files for files in find(options.data / folder).scans if files in train]
        rows = []
        for files, expert in [(files, files.truth) for files in scans if files.truth][:count]:
            rows.append([dice(model, files, expert) for model in models])
            print(files.label, *(f"{value:.3f}" for value in rows[-1]), flush=True)
        means = (f"{statistics.mean(values):.3f}" for values in zip(*rows, strict=True))
        print(f"{folder}: {len(rows)} scans, mean Dice without and with N4:", *means)


if __name__ == "__main__":
    main()
