"""Detection and measurement of a model on a set of scans: a line per scan and region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from anomri import batch, pipeline
from anomri.datasets import Found
from anomri.detector import Detector
from anomri.errors import ScanError
from anomri.evaluation import case_metrics, found_by_volume
from anomri.experiments.comparison.definition import ScanSet
from anomri.experiments.comparison.entries import needed_contrasts
from anomri.reporting import read_record
from anomri.scan import REGIONS, ScanFiles

WHOLE = "whole"
METRICS = (
    *("dice", "sensitivity", "precision", "auprc", "oracle_dice", "hd95_mm"),
    *("volume_ml", "truth_volume_ml", "false_positive_ml", "false_lesion_count"),
)

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DetectTask:
    """Detection and measurement of one model on one set of scans.

    Attributes:
        detector: the model.
        scans: scans of the set.
        test: the set.
        edges_ml: limits between classes of lesion volume.
        out: folder of the detections.
        execution: how to run detection and measurement.
    """

    detector: Detector
    scans: Found
    test: ScanSet
    edges_ml: Sequence[float]
    out: Path
    execution: batch.Execution = batch.DEFAULT_EXECUTION

    def lines(self) -> Iterator[Line]:
        """Detect, then yield a line per scan and region; a scan that fails has one with why."""
        outcome = pipeline.detect(self.scans, self.detector, self.out, execution=self.execution)
        failed = {failure.label: failure.reason for failure in outcome.failures}
        for files in self.scans.scans:
            if files.label in failed:
                yield _failed(files.name, failed[files.label])
        scans = [files for files in self.scans.scans if files.label not in failed]
        measured = self.execution.executor.run(
            MeasureTask(self.out, self.test.regions, tuple(self.edges_ml)), scans
        )
        for _ in self.execution.progress(scans, "measuring"):
            yield from next(measured)


@dataclass(frozen=True, slots=True)
class MeasureTask:
    """Measurement of one scan, which is sent to worker processes.

    Attributes:
        out: folder of the detections.
        regions: whether the reference distinguishes core and enhancing tumour.
        edges_ml: limits between classes of lesion volume.
    """

    out: Path
    regions: bool
    edges_ml: tuple[float, ...]

    def __call__(self, files: ScanFiles) -> list[Line]:
        """Return the lines of a scan."""
        try:
            return [self._line(files, region) for region in self._regions(files)]
        except ScanError as error:
            return [_failed(files.name, error.reason)]

    def _regions(self, files: ScanFiles) -> tuple[str, ...]:
        record = read_record(self.out, files.label)
        named = record is not None and record.regions and self.regions
        return tuple(REGIONS) if named else (WHOLE,)

    def _line(self, files: ScanFiles, region: str) -> Line:
        case = pipeline.read_case(self.out, files, region)
        metrics = case_metrics(**case)
        line: Line = {"subject": files.name, "region": region}
        line |= {name: metrics.get(name) for name in METRICS}
        if region != WHOLE or case["truth"] is None:
            return line
        counts = found_by_volume(
            case["mask"], case["truth"], voxel_ml=case["voxel_ml"], edges_ml=self.edges_ml
        )
        for name, (lesions, found) in zip(classes(self.edges_ml), counts, strict=True):
            line |= {f"lesions_{name}": lesions, f"found_{name}": found}
        return line


def usable(scans: Found, detector: Detector) -> Found:
    """Return the scans that have all contrasts that the model requires."""
    needed = needed_contrasts(detector)
    kept = tuple(files for files in scans.scans if needed <= set(files.contrasts))
    return Found(kept, scans.skipped, scans.layout, chosen=True)


def classes(edges_ml: Sequence[float]) -> list[str]:
    """Return the names of the classes of lesion volume.

    >>> classes([0.1, 1])
    ['under_0.1_ml', '0.1_to_1_ml', 'over_1_ml']
    """
    between = [f"{low:g}_to_{high:g}_ml" for low, high in pairwise(edges_ml)]
    return [f"under_{edges_ml[0]:g}_ml", *between, f"over_{edges_ml[-1]:g}_ml"]


def columns(edges_ml: Sequence[float]) -> tuple[str, ...]:
    """Return the names of the columns of lesions by volume."""
    return tuple(f"{count}_{name}" for name in classes(edges_ml) for count in ("lesions", "found"))


def _failed(subject: str, reason: str) -> Line:
    return {"subject": subject, "region": WHOLE, "failed": reason}
