"""Models that work together, calibrated as one.

How much do they mark on healthy scans, and how far must their thresholds move to keep that to a
volume? No model of several can be fitted alone: small lesions are added only where the first model
finds no mass, and a rim adds what it encloses. So one factor moves every threshold, each scan is
decided on at every factor of a ladder, and the lowest factor is taken from which upwards the mean
volume is allowed; see :mod:`anomri.postprocessing.false_positive_calibration`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.detector.beside import of_contrasts
from anomri.detector.dial import Dial
from anomri.detector.model import WHOLE, Detector
from anomri.evaluation import false_positive_ml
from anomri.files import TOGETHER, write_text
from anomri.postprocessing import TO_BE_FITTED, WITHOUT_THRESHOLD, FalsePositiveCalibration
from anomri.scan import FalsePositiveVolume, Scan, Threshold


class JointCalibration:
    """What several models that work together mark on healthy tissue, in one pass.

    Args:
        detector: with models beside it.
        false_positive_ml: volume allowed on healthy tissue, in ml per scan.
    """

    def __init__(self, detector: Detector, *, false_positive_ml: float = 5.0) -> None:
        self._detector = detector
        self._own: list[tuple[Threshold, float]] = []  # the threshold as it is, and ml
        self._factor = FalsePositiveCalibration(1.0, false_positive_ml=false_positive_ml)

    def add(self, scan: Scan, _healthy: NDArray[np.intp]) -> None:
        """Learn from one scan; nothing where lesions must be and nobody knows where."""
        if scan.truth is None and scan.healthy is False:
            return
        dial = Dial(self._detector, of_contrasts(scan, self._detector.held(scan.contrasts)))
        lesions = None if scan.truth is None else scan.truth > 0

        def marked_ml(factor: float) -> float:
            return false_positive_ml(dial.mask(factor), lesions, scan.grid.voxel_ml)

        if scan.subject not in dial.threshold.fitted_on:
            self._own.append((dial.threshold, marked_ml(1.0)))
        if self._moves:
            self._factor.add(scan.subject, marked_ml)

    def measure(self, scan: Scan) -> None:
        """Do nothing: a scan's volume at every factor is known after the first look."""

    @property
    def _moves(self) -> bool:
        """Tell whether a factor means something to every model."""
        sections = [one.recipe.detection for one in self._detector.members.values()]
        return all(
            section.decide.name not in WITHOUT_THRESHOLD
            and section.threshold.name in ("fixed", *TO_BE_FITTED)
            for section in sections
        )

    def thresholds(self) -> dict[str, Threshold]:
        """Return the thresholds of the first model; those of the others move with it."""
        return self._by_member()[WHOLE]

    def _by_member(self) -> dict[str, dict[str, Threshold]]:
        """Return each model's thresholds by rule, by the name of its part; all parts are named."""
        factor = self._factor.threshold()
        found: dict[str, dict[str, Threshold]] = {part: {} for part in self._detector.members}
        for part, member in self._detector.members.items():
            value = member.fixed_value
            if factor and value is not None:
                found[part][factor.rule] = replace(factor, value=value * factor.value)
        if self._own:
            own = self._measured()
            found[WHOLE][own.rule] = own
        return found

    def _measured(self) -> Threshold:
        """Return the first model's own threshold with what all of them marked."""
        values, volumes = [own.value for own, _ in self._own], [ml for _, ml in self._own]
        marked = FalsePositiveVolume.of(volumes)
        return replace(self._own[0][0], value=float(np.mean(values)), marked=marked)

    def save(self, run: Path) -> dict[str, Threshold]:
        """Write what was fitted beside the models; return the thresholds of the first."""
        entries: Mapping[str, Any] = {
            part: {rule: asdict(threshold) for rule, threshold in by_rule.items()}
            for part, by_rule in self._by_member().items()
        }
        write_text(run / TOGETHER, json.dumps(entries, indent=2) + "\n")
        return self.thresholds()
