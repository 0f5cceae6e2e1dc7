"""What the types work out by themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anomri.scan import AnomalyMap, Detection, Scan, Threshold


def test_lesions_are_where_the_truth_is_above_zero(ball_scan: Scan) -> None:
    assert ball_scan.truth is not None
    np.testing.assert_array_equal(ball_scan.lesions, ball_scan.truth == 2)
    assert replace(ball_scan, truth=None).lesions is None


@pytest.mark.parametrize(
    ("with_truth", "healthy", "unknown"),
    [(True, False, False), (False, False, True), (False, None, False), (False, True, False)],
)
def test_lesions_are_unknown_in_patients_without_truth(
    ball_scan: Scan, with_truth: bool, healthy: bool | None, unknown: bool
) -> None:
    truth = ball_scan.truth if with_truth else None
    assert replace(ball_scan, truth=truth, healthy=healthy).lesions_unknown is unknown


def test_the_volume_of_a_detection_is_that_of_its_mask(ball_scan: Scan) -> None:
    """By hand: 1000 voxels of 2 mm are 8 ml."""
    mask = np.zeros(ball_scan.brain.shape, dtype=bool)
    mask[:10, :10, :10] = True
    detection = Detection(
        anomaly=AnomalyMap(
            scan=ball_scan,
            values=ball_scan.image,
            reconstruction=ball_scan.image,
            score="residual",
        ),
        mask=mask,
        threshold=Threshold(value=1.0, rule="fixed"),
        slice_scores=np.zeros(44),
        scan_score=0.0,
        findings=(),
    )
    assert detection.volume_ml == pytest.approx(8.0)
