"""What an adaptation changed in each scan, by the network that has not seen the scan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np

from anomri.datasets import converted
from anomri.detector import Detector
from anomri.errors import ScanError
from anomri.evaluation import confusion, dice
from anomri.files import CHANGES, write_tsv
from anomri.pipeline.adaptation.label_free_scan import LabelFreeScan
from anomri.scan import Mask, Scan, ScanFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A row of ``changes.tsv``; for its columns see :mod:`anomri.files.data_dictionaries`."""

    subject: str
    label: str
    half: str
    weight: float
    volume_before_ml: float
    volume_after_ml: float
    dice_of_both: float
    dice_before: float | None
    dice_after: float | None


@dataclass(frozen=True, slots=True)
class ChangeTask:
    """Comparison of a scan's masks before and after adaptation; can be pickled for a worker.

    Attributes:
        detector: the adapted model with the network of the other half alone.
        half: name of the half whose network was trained on the scan.
        before: what the model without adaptation found, by label.
    """

    detector: Detector
    half: str
    before: Mapping[str, LabelFreeScan]

    def __call__(self, files: ScanFiles) -> Change:
        """Segment the scan anew, and judge both masks where an expert's is there."""
        with converted(files) as images:
            scan = self._prepared(images)
        found = self.before[files.label]
        after = self.detector.segment(self.detector.maps(scan)).mask
        brain = scan.brain
        return Change(
            subject=files.subject,
            label=files.label,
            half=self.half,
            weight=round(found.weight, 3),
            volume_before_ml=round(found.volume_ml, 2),
            volume_after_ml=round(float(after.sum() * scan.grid.voxel_ml), 2),
            dice_of_both=round(dice(confusion(after, found.mask, brain)), 3),
            dice_before=_judged(found.mask, scan),
            dice_after=_judged(after, scan),
        )

    def _prepared(self, files: ScanFiles) -> Scan:
        """Prepare a scan, without the expert's mask if only that cannot be used."""
        try:
            return self.detector.prepare(files)
        except ScanError:
            if files.truth is None:
                raise
            return self.detector.prepare(replace(files, truth=None))


def write_changes(folder: Path, changes: Iterable[Change]) -> None:
    """Write the table, in the order of the labels; its dictionary comes with it."""
    rows = sorted(changes, key=lambda change: change.label)
    write_tsv(folder / CHANGES, [field.name for field in fields(Change)], map(astuple, rows))


def _judged(mask: Mask, scan: Scan) -> float | None:
    """Return the Dice with the expert's mask on the working grid; None without one."""
    if scan.truth is None:
        return None
    return round(dice(confusion(mask, np.asarray(scan.truth > 0), scan.brain)), 3)
