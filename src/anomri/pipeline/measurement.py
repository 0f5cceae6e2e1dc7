"""What was detected is measured against the experts' masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from anomri.datasets import Found
from anomri.errors import UsageError
from anomri.evaluation import case_metrics, curve_points, summarise, write_table
from anomri.family import REGIONS
from anomri.pipeline.batch import Outcome, Track, each, untracked
from anomri.preprocessing import read_labels, read_native, read_truth
from anomri.reporting import derivative, read_record
from anomri.scan import Grid, Mask, ScanFiles


def evaluate(
    detections: Path,
    found: Found,
    out: Path,
    *,
    region: str = "whole",
    track: Track = untracked,
) -> tuple[list[dict[str, Any]], Outcome]:
    """Measure what was detected against the experts' masks, on the scans' own grid.

    Writes ``evaluation.tsv``, a row per subject, ``evaluation_summary.tsv`` and
    ``evaluation_curves.tsv``, points of each subject's precision-recall and ROC curves.

    Raises:
        UsageError: none of the scans was detected.
    """
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []

    def measure(files: ScanFiles) -> bool:
        case = read_case(detections, files, region)
        error = {"reconstruction_mae": _reconstruction_mae(detections, files)}
        rows.append({"subject": files.subject, **case_metrics(**case), **error})
        points = curve_points(case["values"], case["truth"], case["brain"])
        curves.extend({"subject": files.subject, **point} for point in points)
        return True

    detected = [files for files in found.scans if read_record(detections, files.label)]
    if not detected:
        raise UsageError(f"{detections.name}: holds no detection of the {len(found.scans)} scans")
    outcome = each(detected, measure, track, "evaluating")
    summary = summarise(rows)
    write_table(out / "evaluation.tsv", rows)
    write_table(out / "evaluation_summary.tsv", summary)
    write_table(out / "evaluation_curves.tsv", curves)
    return summary, outcome


def measure_case(detections: Path, files: ScanFiles, region: str = "whole") -> dict[str, float]:
    """Measure one detection on its scan's own grid; arguments as for :func:`read_case`."""
    metrics = case_metrics(**read_case(detections, files, region))
    return metrics | {"reconstruction_mae": _reconstruction_mae(detections, files)}


def read_case(detections: Path, files: ScanFiles, region: str = "whole") -> dict[str, Any]:
    """Read a detection and its truth on the scan's own grid, as `case_metrics` wants them.

    Args:
        detections: folder written by :func:`detect`.
        files: the scan; without a truth it must be known to be healthy.
        region: which labels of the truth count, by name of ``REGIONS``.

    Raises:
        UsageError: there is no such region.
        ScanError: the truth cannot be used.
    """
    if region not in REGIONS:
        raise UsageError(f"region '{region}': expected one of {', '.join(REGIONS)}")
    record = read_record(detections, files.label)
    if record is None:
        raise UsageError(f"{files.label}: was not detected")

    def path(name: str) -> Path:
        return derivative(detections, files.label, name)

    regional = record.regions and region != "whole"
    found, grid = read_labels(
        path("desc-regions_dseg.nii.gz" if regional else "label-lesion_mask.nii.gz")
    )
    mask = np.isin(found, REGIONS[region])
    brain, _ = read_labels(path("desc-brain_mask.nii.gz"))
    maps = [read_native(path(f"desc-anomaly_{name}.nii.gz"))[0] for name in record.contrasts]
    truth = _truth(files, grid, region)
    order = grid.axial_last
    i, j, k = (grid.spacing[axis] for axis in order)
    return {
        "mask": mask.transpose(order),
        "values": np.max(maps, axis=0).transpose(order),
        "truth": None if truth is None else truth.transpose(order),
        "brain": brain.transpose(order) > 0,
        "spacing": (i, j, k),
        "voxel_ml": grid.voxel_ml,
    }


def _reconstruction_mae(detections: Path, files: ScanFiles) -> float:
    record = read_record(detections, files.label)
    error = np.nan if record is None else record.provenance.get("reconstruction_mae", np.nan)
    return float(error)


def _truth(files: ScanFiles, grid: Grid, region: str) -> Mask | None:
    """Return the expert's mask on the scan's grid; all False for a healthy scan."""
    if files.truth is None:
        return np.zeros(grid.shape, dtype=bool) if files.healthy else None
    return np.isin(read_truth(files.truth, grid), REGIONS[region])
