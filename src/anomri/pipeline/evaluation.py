"""Evaluation: detections are compared with expert masks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from anomri.batch import DEFAULT_EXECUTION, Execution, Outcome, ShardNote, joint, known, run_batch
from anomri.datasets import Found
from anomri.errors import NOT_DETECTED, DamagedFile, Failure, GridMismatch, ScanError, UsageError
from anomri.evaluation import (
    case_metrics,
    curve_points,
    recall_by_size,
    reference_lesions,
    summarise,
    summarise_slices,
    write_table,
)
from anomri.files import (
    BRAIN_MASK,
    EVALUATION,
    EVALUATION_CURVES,
    EVALUATION_FAILURES,
    EVALUATION_LESIONS,
    EVALUATION_SIZES,
    EVALUATION_SLICES,
    EVALUATION_SUMMARY,
    LESION_MASK,
    REGION_LABELS,
    derivative,
    map_name,
    remove_stale_drafts,
)
from anomri.preprocessing import check_mask_grid, read_labels, read_truth, read_volume
from anomri.reporting import Record, read_record, write_failures
from anomri.scan import REGIONS, Grid, Mask, ScanFiles, Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluateTask:
    """Evaluation of one scan; can be pickled for a worker.

    Attributes:
        detections: folder of the results.
        region: as for :func:`read_case`.
        mask_grid: likewise.
    """

    detections: Path
    region: str | None
    mask_grid: str = "auto"

    def __call__(self, files: ScanFiles) -> dict[str, Any]:
        """Return the scan's measures, and the rows of its curves, slices and lesions."""
        case = read_case(self.detections, files, self.region, mask_grid=self.mask_grid)
        error = {"reconstruction_mae": _reconstruction_mae(self.detections, files)}
        points = curve_points(case["values"], case["truth"], case["brain"])
        return {
            "row": {"subject": files.name, **case_metrics(**case), **error},
            "points": [{"subject": files.name, **point} for point in points],
            "slices": _slices(self.detections, files, case),
            "lesions": _lesions(files, case),
        }


def evaluate(
    detections: Path,
    found: Found,
    out: Path,
    *,
    region: str | None = None,
    mask_grid: str = "auto",
    execution: Execution = DEFAULT_EXECUTION,
) -> tuple[list[dict[str, Any]], Outcome]:
    """Compare detections with expert masks, on the scans' own grid.

    Writes ``evaluation.tsv``, a row per scan, ``evaluation_summary.tsv``,
    ``evaluation_lesions.tsv``, a row per lesion of the expert's, ``evaluation_sizes.tsv``, the
    share of them that is found by volume, ``evaluation_curves.tsv``, points of each scan's
    precision-recall and ROC curves, and ``evaluation_slices.tsv``, a row per axial slice with its
    scores. The summary's ``slice_auroc_...`` are over the slices of all scans together. Scans of
    the data set that cannot be evaluated are listed in ``evaluation_failures.tsv``.

    Args:
        detections: folder written by :func:`detect`.
        found: the scans, with their expert masks.
        out: folder of the tables.
        region: as for :func:`read_case`.
        mask_grid: likewise.
        execution: how to run the batch.

    Returns:
        The rows of ``evaluation_summary.tsv``, and the outcome of the scans.

    Raises:
        UsageError: none of the scans has a detection, or there is no such region or mask grid.
    """
    if region:
        _check(region)
    remove_stale_drafts(out)
    check_mask_grid(mask_grid)
    detected = tuple(files for files in found.scans if _is_detected(detections, files.label))
    if not detected:
        raise UsageError(
            f"{detections.resolve().name}: expected detections of the {len(found.scans)} scans, "
            "found none. "
            "Next: run `anomri detect` on them with this folder as -o, or check the spelling."
        )
    _warn_of_earlier(detections, detected)
    task = EvaluateTask(detections, region, mask_grid)
    outcome = run_batch(replace(found, scans=detected), task, execution, "evaluating")
    _add_unused(outcome, execution.shard.found(found), detections)
    place = {files.label: number for number, files in enumerate(detected)}
    entries = zip(outcome.done, outcome.values, strict=True)
    unused = [asdict(failure) for failure in _unused(outcome)]
    measured = [{"place": place[label], **value} for label, value in entries]
    note: ShardNote = {"measured": measured, "unused": unused}
    with joint(out, "evaluate", execution.shard, note) as notes:
        return evaluation_tables(out, notes), outcome


def evaluation_tables(out: Path, notes: Sequence[ShardNote]) -> list[dict[str, Any]]:
    """Write the tables of an evaluation, in the order of the scans; return the summary."""
    measured = sorted(
        (entry for note in notes for entry in note["measured"]), key=lambda entry: entry["place"]
    )
    rows = [entry["row"] for entry in measured]
    slices = [row for entry in measured for row in entry["slices"]]
    summary = [*summarise(rows), *summarise_slices(slices)]
    write_table(out / EVALUATION, rows)
    write_table(out / EVALUATION_SUMMARY, summary)
    write_table(out / EVALUATION_CURVES, [p for entry in measured for p in entry["points"]])
    write_table(out / EVALUATION_SLICES, slices)
    lesions = [row for entry in measured for row in entry.get("lesions", ())]
    write_table(out / EVALUATION_LESIONS, lesions)
    write_table(out / EVALUATION_SIZES, recall_by_size(lesions))
    unused = [Failure(**entry) for note in notes for entry in note["unused"]]
    write_failures(out, unused, name=EVALUATION_FAILURES)
    return summary


def _is_detected(detections: Path, label: str) -> bool:
    """Whether a scan has a result, even one that cannot be read."""
    try:
        return read_record(detections, label) is not None
    except DamagedFile:
        return True


def _warn_of_earlier(detections: Path, detected: Sequence[ScanFiles]) -> None:
    """Say which results the last run of `detect` could not make again."""
    failed = known(detections)
    for files in detected:
        if files.label in failed:
            log.warning(
                "%s: it failed in the last run of `anomri detect`; its result of an earlier run is "
                "evaluated. Next: see failures.tsv in %s.",
                files.label,
                detections.resolve().name,
            )


def _add_unused(outcome: Outcome, found: Found, detections: Path) -> None:
    """Add scans without a result to an outcome: failed detections, and scans not detected."""
    failed = known(detections)
    evaluated = {*outcome.done, *(failure.label for failure in outcome.failures)}
    for files in found.scans:
        if files.label in evaluated or _is_detected(detections, files.label):
            continue
        if files.label in failed:
            outcome.failures.append(failed[files.label])
            outcome.exit_codes.add(ScanError.exit_code)
        else:
            outcome.not_detected.append(_not_detected(files, detections))


def _not_detected(files: ScanFiles, detections: Path) -> Failure:
    return Failure(
        subject=files.subject,
        label=files.label,
        reason=f"expected a result of it in {detections.resolve().name}, got none",
        next_step="run `anomri detect` on it too, or evaluate without it",
        status=NOT_DETECTED,
    )


def _unused(outcome: Outcome) -> list[Failure]:
    return [*outcome.failures, *outcome.left_out, *outcome.not_detected]


def measure_case(detections: Path, files: ScanFiles, region: str | None = None) -> dict[str, float]:
    """Evaluate one detection on its scan's own grid; arguments as for :func:`read_case`."""
    metrics = case_metrics(**read_case(detections, files, region))
    return metrics | {"reconstruction_mae": _reconstruction_mae(detections, files)}


def read_case(
    detections: Path, files: ScanFiles, region: str | None = None, *, mask_grid: str = "auto"
) -> dict[str, Any]:
    """Read a detection and its truth on the scan's own grid: the arguments of `case_metrics`.

    Args:
        detections: folder written by :func:`detect`.
        files: the scan. A healthy scan needs no truth: it has no lesions.
        region: region of the truth, by name of ``REGIONS``; None is the region that the detection
            shows. A mask without regions counts as the region that it shows and as the whole. The
            values are those of the maps that show this region, or of all maps if none does.
        mask_grid: placement of a truth with the scan's shape but another affine: by its own
            ``header``, or on the voxels of the ``scan``; ``auto`` refuses it.

    Raises:
        UsageError: there is no such region, or the scan has no detection.
        ScanError: the truth cannot be used, lies outside the brain, or is missing although the
            scan is not healthy.
    """
    record = read_record(detections, files.label)
    if record is None:
        raise UsageError(
            f"{files.label}: expected a result in {detections.resolve().name}, found none. "
            "Next: run `anomri detect` on this scan."
        )
    region = region or shown_in(record)
    _check(region)
    mask, grid = _mask(detections, record, region)
    brain, _ = read_labels(derivative(detections, files.label, BRAIN_MASK))
    truth = _truth(files, grid, region, mask_grid)
    _refuse_outside(files, truth, brain > 0)
    order = grid.axial_last
    i, j, k = (grid.spacing[axis] for axis in order)
    return {
        "mask": mask.transpose(order),
        "values": _values(detections, record, region).transpose(order),
        "truth": None if truth is None else truth.transpose(order),
        "brain": brain.transpose(order) > 0,
        "spacing": (i, j, k),
        "voxel_ml": grid.voxel_ml,
    }


def _values(detections: Path, record: Record, region: str) -> Volume:
    """Return (I, J, K) the highest value of the maps that show a region, or of all if none does."""
    shows = dict(zip(record.contrasts, record.shows, strict=False))
    showing = [name for name in record.contrasts if shows.get(name) == region] or record.contrasts
    names = [map_name("anomaly", name) for name in showing]
    maps = [read_volume(derivative(detections, record.label, name))[0] for name in names]
    return np.asarray(np.max(maps, axis=0))


def _check(region: str) -> None:
    if region not in REGIONS:
        names = ", ".join(REGIONS)
        raise UsageError(f"region '{region}': expected one of {names}. Next: choose one.")


def shown_in(record: Record) -> str:
    """Return the region that the mask of a detection shows."""
    return record.shows[0] if record.shows else "whole"


def _mask(detections: Path, record: Record, region: str) -> tuple[Mask, Grid]:
    """Return the detected mask of a region; all False if the detection does not show it."""
    regional = record.regions and region != "whole"
    name = REGION_LABELS if regional else LESION_MASK
    labels, grid = read_labels(derivative(detections, record.label, name))
    if regional:
        return np.isin(labels, REGIONS[region]), grid
    return (labels > 0) & (region in ("whole", shown_in(record))), grid


def _slices(detections: Path, files: ScanFiles, case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row per axial slice of the brain: its lesion voxels and its scores."""
    record = read_record(detections, files.label)
    if record is None or case["truth"] is None:
        return []
    brain, lesion = (np.count_nonzero(case[name], axis=(0, 1)) for name in ("brain", "truth"))
    return [
        {
            "subject": files.name,
            "slice": int(k),
            "lesion_voxels": int(lesion[k]),
            **{name: scores[k] for name, scores in record.slice_scores.items()},
        }
        for k in np.flatnonzero(brain)
    ]


def _lesions(files: ScanFiles, case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row per lesion of the expert's."""
    if case["truth"] is None:
        return []
    rows = reference_lesions(case["mask"], case["truth"], voxel_ml=case["voxel_ml"])
    return [{"subject": files.name, **row} for row in rows]


def _reconstruction_mae(detections: Path, files: ScanFiles) -> float:
    record = read_record(detections, files.label)
    error = None if record is None else record.provenance.reconstruction_mae
    return float("nan") if error is None else error


def _truth(files: ScanFiles, grid: Grid, region: str, mask_grid: str) -> Mask | None:
    """Return the expert mask on the scan's grid; all False for a healthy scan."""
    if files.truth is None and "truth" in files.unclear:
        raise ScanError(
            files.subject,
            expected="one expert mask",
            got=files.unclear["truth"],
            next_step="keep one of these masks",
        )
    if files.truth is None:
        if files.healthy is False:  # every lesion detected would count as a false positive
            raise ScanError(
                files.subject,
                expected="an expert mask, because the scan is not healthy",
                got="none",
                next_step="add the mask, or evaluate the other scans only",
            )
        return np.zeros(grid.shape, dtype=bool) if files.healthy else None
    return np.isin(read_truth(files.truth, grid, mask_grid=mask_grid), REGIONS[region])


def _refuse_outside(files: ScanFiles, truth: Mask | None, brain: Mask) -> None:
    """Raise where no lesion lies in the brain: a Dice of 0 would not be the model's fault."""
    if files.truth is None or truth is None or not truth.any() or (truth & brain).any():
        return
    raise GridMismatch(
        files.truth,
        expected="lesions in the brain",
        got="a mask whose lesions all lie outside it",
        next_step="check mask and scan in a viewer: the mask may have lost its header, or belong "
        "to another scan",
    )
