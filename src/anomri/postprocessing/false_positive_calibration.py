"""The threshold with which the whole decision, not the cut alone, keeps to a volume.

A decision that grows marks more than lies above the threshold, and steps that drop small components
mark less. So each healthy scan is decided on at every rung of a ladder of thresholds:

    t = the lowest rung such that from it upwards the mean over scans of the marked volume is at
        most what is allowed

A scan's own volume at the rung that the others chose is what a new scan has to expect.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from anomri.scan import FalsePositiveVolume, Threshold

FALSE_POSITIVE_RULE = "healthy_decision"
SCALES = np.geomspace(0.7, 8.0, 27)  # times a threshold to begin with; steps of 10 %

MarkedMl = Callable[[float], float]


class FalsePositiveCalibration:
    """A threshold in the making; a row of 27 numbers per scan is all that it keeps.

    Args:
        around: a threshold to begin with, above 0: where the cut alone keeps to the volume.
        false_positive_ml: allowed in the mean over the scans.
    """

    def __init__(self, around: float, *, false_positive_ml: float) -> None:
        self._values = around * SCALES
        self._allowed = false_positive_ml
        self._subjects: list[str] = []
        self._ml: list[NDArray[np.float64]] = []

    def add(self, subject: str, marked_ml: MarkedMl) -> None:
        """Learn from the healthy tissue of one scan.

        Args:
            subject: whose scan it is.
            marked_ml: the volume that is marked there with a threshold, in ml.
        """
        self._subjects.append(subject)
        self._ml.append(np.array([marked_ml(float(value)) for value in self._values]))

    def threshold(self) -> Threshold | None:
        """Return the threshold; None where no rung keeps to the volume."""
        ml = np.stack(self._ml) if self._ml else np.zeros((0, self._values.size))
        rung = self._lowest(ml)
        if rung is None:
            return None
        return Threshold(
            value=float(self._values[rung]),
            rule=FALSE_POSITIVE_RULE,
            fitted_on=tuple(dict.fromkeys(self._subjects)),
            false_positive_ml=float(ml[:, rung].mean()),
            marked=self._marked(ml),
        )

    def _marked(self, ml: NDArray[np.float64]) -> FalsePositiveVolume | None:
        """Return the volumes at the rungs that other subjects chose."""
        subjects = np.array(self._subjects)
        rungs = [self._lowest(ml[subjects != subject]) for subject in subjects]
        held = [float(row[rung]) for row, rung in zip(ml, rungs, strict=True) if rung is not None]
        return FalsePositiveVolume.of(held) if held else None

    def _lowest(self, ml: NDArray[np.float64]) -> int | None:
        if not len(ml):
            return None
        too_much = np.flatnonzero(ml.mean(axis=0) > self._allowed)
        rung = int(too_much[-1]) + 1 if too_much.size else 0
        return rung if rung < self._values.size else None
