"""Calibration of the threshold on the false-positive volume of the complete segmentation.

Region growing marks more than the voxels above the threshold, and removing small components marks
less. Each healthy scan is therefore segmented at a series of thresholds, and the result is

    the lowest threshold from which upwards the mean false-positive volume over the scans stays
    within the allowed volume.

The volume that a new scan has to expect is estimated by leaving out one subject: each scan's
volume at the threshold fitted to the other subjects.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from anomri.scan import FalsePositiveVolume, Threshold

FALSE_POSITIVE_RULE = "healthy_decision"
SCALES = np.geomspace(0.7, 8.0, 27)  # factors of the initial threshold, in steps of 10 %

MarkedMl = Callable[[float], float]


class FalsePositiveCalibration:
    """Incremental calibration of a threshold; memory is one volume per scale and scan.

    Args:
        around: initial threshold, above 0, such as the one that keeps to the volume without
            growing or removing components.
        false_positive_ml: allowed volume, in the mean over the scans.
    """

    def __init__(self, around: float, *, false_positive_ml: float) -> None:
        self._values = around * SCALES
        self._allowed = false_positive_ml
        self._subjects: list[str] = []
        self._ml: list[NDArray[np.float64]] = []

    def add(self, subject: str, marked_ml: MarkedMl) -> None:
        """Measure the healthy tissue of one scan at all thresholds.

        Args:
            subject: name of the subject.
            marked_ml: maps a threshold to the false-positive volume in ml.
        """
        self._subjects.append(subject)
        self._ml.append(np.array([marked_ml(float(value)) for value in self._values]))

    def threshold(self) -> Threshold | None:
        """Return the threshold; None where no scale keeps to the allowed volume."""
        ml = np.stack(self._ml) if self._ml else np.zeros((0, self._values.size))
        index = self._lowest_scale(ml)
        if index is None:
            return None
        return Threshold(
            value=float(self._values[index]),
            rule=FALSE_POSITIVE_RULE,
            fitted_on=tuple(dict.fromkeys(self._subjects)),
            false_positive_ml=float(ml[:, index].mean()),
            false_positives=self._left_out_volumes(ml),
        )

    def _left_out_volumes(self, ml: NDArray[np.float64]) -> FalsePositiveVolume | None:
        """Summarise each scan's volume at the threshold fitted to the other subjects."""
        subjects = np.array(self._subjects)
        indices = [self._lowest_scale(ml[subjects != subject]) for subject in subjects]
        volumes = [
            float(row[index]) for row, index in zip(ml, indices, strict=True) if index is not None
        ]
        return FalsePositiveVolume.of(volumes) if volumes else None

    def _lowest_scale(self, ml: NDArray[np.float64]) -> int | None:
        """Return the index of the lowest scale from which upwards the mean volume is allowed."""
        if not len(ml):
            return None
        too_large = np.flatnonzero(ml.mean(axis=0) > self._allowed)
        index = int(too_large[-1]) + 1 if too_large.size else 0
        return index if index < self._values.size else None
