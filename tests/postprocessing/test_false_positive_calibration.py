"""The threshold that the whole decision keeps to a volume with, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.postprocessing import FALSE_POSITIVE_RULE, FalsePositiveCalibration
from anomri.postprocessing.false_positive_calibration import SCALES


def fit(rows: list[list[float]], allowed: float) -> FalsePositiveCalibration:
    """Scans of which given volumes in ml are marked at rungs 0, 1 and 2, and nothing above."""
    made = FalsePositiveCalibration(2.0, false_positive_ml=allowed)
    for number, row in enumerate(rows):

        def marked_ml(value: float, row: list[float] = row) -> float:
            rung = int(np.argmin(np.abs(2 * SCALES - value)))
            return row[rung] if rung < 3 else 0.0

        made.add(str(number), marked_ml)
    return made


def test_the_lowest_rung_within_the_volume_is_taken() -> None:
    """Means of 1.2, 0.6 and 0.2 ml."""
    found = fit([[0.8, 0.4, 0], [1.6, 0.8, 0.4]], 0.7).threshold()
    assert found is not None
    assert (found.rule, found.fitted_on) == (FALSE_POSITIVE_RULE, ("0", "1"))
    assert found.value == pytest.approx(2 * SCALES[1])
    assert found.false_positive_ml == pytest.approx(0.6)
    # Alone, the second would choose rung 2, where the first has 0 ml; the first rung 1: 0.8 ml.
    assert found.false_positives is not None
    assert found.false_positives.scans == 2
    assert found.false_positives.median_ml == pytest.approx(0.4)
    assert found.false_positives.upper_ml == pytest.approx(0.76)


def test_a_dip_below_the_volume_does_not_count() -> None:
    found = fit([[0, 1.6, 0.08]], 0.7).threshold()
    assert found is not None
    assert found.value == pytest.approx(2 * SCALES[2])
    assert found.false_positives is None


def test_nothing_is_fitted_to_nothing() -> None:
    assert fit([], 1.0).threshold() is None
