"""The threshold that the whole decision keeps to a volume with, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anomri.postprocessing.decided import RULE, RUNGS, DecidedFit
from anomri.scan import AnomalyMap, Mask, Scan, Threshold


def fit(ball_scan: Scan, voxels: list[list[int]], allowed: float) -> DecidedFit:
    """A decision that marks a given number of voxels at rungs 0, 1 and 2, and none above."""
    values = ball_scan.image * 0
    anomaly = AnomalyMap(scan=ball_scan, values=values, reconstruction=values, score="residual")
    marks: dict[str, list[int]] = {}

    def decide(anomaly: AnomalyMap, threshold: Threshold) -> Mask:
        rung = int(np.argmin(np.abs(2 * RUNGS - threshold.value)))
        mask = np.zeros(ball_scan.brain.shape, bool)
        mask.ravel()[: marks[anomaly.scan.subject][rung] if rung < 3 else 0] = True
        return mask

    made = DecidedFit(2.0, decide, false_positive_ml=allowed)
    for number, row in enumerate(voxels):
        marks[str(number)] = row
        scan = replace(ball_scan, subject=str(number))
        made.add(replace(anomaly, scan=scan), None)
    return made


def test_the_lowest_rung_within_the_volume_is_taken(ball_scan: Scan) -> None:
    """Voxels of 0.008 ml: means of 150, 75 and 25 voxels are 1.2, 0.6 and 0.2 ml."""
    found = fit(ball_scan, [[100, 50, 0], [200, 100, 50]], 0.7).threshold()
    assert found is not None
    assert (found.rule, found.fitted_on) == (RULE, ("0", "1"))
    assert found.value == pytest.approx(2 * RUNGS[1])
    assert found.false_positive_ml == pytest.approx(0.6)
    # Alone, the second would choose rung 2, where the first has 0; the first rung 1: 100 voxels.
    assert found.marked is not None
    assert found.marked.scans == 2
    assert found.marked.median_ml == pytest.approx(0.4)
    assert found.marked.upper_ml == pytest.approx(0.76)


def test_a_dip_below_the_volume_does_not_count(ball_scan: Scan) -> None:
    found = fit(ball_scan, [[0, 200, 10]], 0.7).threshold()
    assert found is not None
    assert found.value == pytest.approx(2 * RUNGS[2])
    assert found.marked is None


def test_nothing_is_fitted_to_nothing(ball_scan: Scan) -> None:
    assert fit(ball_scan, [], 1.0).threshold() is None
