"""Fit the probability that a finding of `default` is real, and measure its calibration.

    for set in brats2018 nichart lgg; do
      anomri detect DATA/$set --split-file DATA/splits.tsv --split train -o RESULTS/$set
    done
    python benchmarks/finding_probability.py DATA RESULTS [--write]

A finding is real if at least a tenth of its voxels, not dilated, lie in the reference. Each
probability is that of a regression without the finding's scan (ten folds by scan). Only subjects of
the split ``train`` count, whatever RESULTS holds. ``--write`` replaces the package's coefficients.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import anomri.recipe
from anomri.datasets import find
from anomri.files import LESION_LABELS, derivative
from anomri.pipeline import Selection
from anomri.postprocessing import FINDING_FEATURES, ListedFinding
from anomri.preprocessing import read_lesion_numbers, read_truth
from anomri.recipe import FindingModel
from anomri.reporting import Record, read_record
from anomri.scan import ScanFiles

FOLDERS = ("brats2018", "nichart", "lgg")
REAL = 0.1
FOLDS = 10
BINS = 5
COEFFICIENTS = Path(anomri.recipe.__file__).parent / "builtin" / "default.findings.json"
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """A finding with its data set and its scan, and whether it is real."""

    folder: str
    scan: str
    finding: ListedFinding
    real: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--split-file", type=Path)
    parser.add_argument("--folders", default=",".join(FOLDERS))
    parser.add_argument("--features", default=",".join(FINDING_FEATURES))
    parser.add_argument("--write", action="store_true")
    words = parser.parse_args()
    chosen = Selection.of_split(words.split_file or words.data / "splits.tsv", "train")
    scans = [
        (folder, files, record)
        for folder in words.folders.split(",")
        for files in find(words.data / folder).scans
        if files in chosen and (record := read_record(words.results / folder, files.label))
    ]
    rows = [row for scan in scans for row in rows_of(*scan, words.results)]
    features = words.features.split(",")
    show(rows, cross_validated(rows, features))
    model = fitted(rows, features, scans[0][2])
    print(model.model_dump_json(indent=2))
    if words.write:
        COEFFICIENTS.write_text(model.model_dump_json(indent=2) + "\n", encoding="utf-8")


def rows_of(folder: str, files: ScanFiles, record: Record, results: Path) -> Iterator[Row]:
    """Yield every finding of a scan that has a reference."""
    if files.truth is None:
        return
    numbers, grid = read_lesion_numbers(derivative(results / folder, files.label, LESION_LABELS))
    reference = read_truth(files.truth, grid) > 0
    for finding in record.findings:
        inside = reference[numbers == finding.number]
        if inside.size:  # the smallest have no voxel on the grid of the file
            yield Row(folder, files.label, finding, float(inside.mean()) >= REAL)


def table(rows: list[Row], features: list[str]) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return the features (N, F) of the findings, and whether each is real."""
    values = [[FINDING_FEATURES[name](row.finding) for name in features] for row in rows]
    return np.array(values), np.array([row.real for row in rows])


def cross_validated(rows: list[Row], features: list[str]) -> Numbers:
    """Return each finding's probability by a regression that did not see its scan."""
    values, real = table(rows, features)
    groups = [row.scan for row in rows]
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    folds = GroupKFold(FOLDS, shuffle=True, random_state=0)
    found = cross_val_predict(
        estimator, values, real, groups=groups, cv=folds, method="predict_proba"
    )
    return np.asarray(found[:, 1], dtype=np.float64)


def fitted(rows: list[Row], features: list[str], record: Record) -> FindingModel:
    """Fit the regression to all findings; its coefficients are per unit of each feature."""
    values, real = table(rows, features)
    scale = StandardScaler().fit(values)
    regression = LogisticRegression().fit(scale.transform(values), real)
    weights = regression.coef_[0] / scale.scale_
    intercept = float(regression.intercept_[0] - weights @ scale.mean_)
    return FindingModel(
        segmentation=tuple(step.name for step in record.provenance.segmentation),
        threshold=record.threshold.value,
        intercept=round(intercept, 4),
        coefficients={name: round(float(w), 4) for name, w in zip(features, weights, strict=True)},
        scans=len({row.scan for row in rows}),
        findings=len(rows),
        real=int(real.sum()),
    )


def show(rows: list[Row], probabilities: Numbers) -> None:
    """Print the reliability table, and the Brier score beside that of the share alone."""
    real = np.array([row.real for row in rows])
    for name in dict.fromkeys(row.folder for row in rows):
        among = np.array([row.folder == name for row in rows])
        scans = len({row.scan for row in rows if row.folder == name})
        print(
            f"{name}: {scans} scans, {among.sum()} findings, {real[among].sum()} real, "
            f"{probabilities[among].sum():.1f} expected"
        )
    print("| probability | mean | findings | real | share |\n|---|---|---|---|---|")
    for chunk in np.array_split(np.argsort(probabilities, kind="stable"), BINS):
        p, hits = probabilities[chunk], int(real[chunk].sum())
        print(
            f"| {p.min():.2f}-{p.max():.2f} | {p.mean():.2f} | {len(p)} | {hits} "
            f"| {hits / len(p):.2f} |"
        )
    alone = brier_score_loss(real, np.full(len(real), real.mean()))
    print(f"Brier score {brier_score_loss(real, probabilities):.3f}; the share alone {alone:.3f}")
    print(f"AUROC {roc_auc_score(real, probabilities):.3f}")


if __name__ == "__main__":
    main()
