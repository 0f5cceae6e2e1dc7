from __future__ import annotations

from dataclasses import replace

import numpy as np

from anomri.scan import AnomalyMap, Scan
from anomri.scoring import slice_scores


def test_mean_over_the_brain_of_each_slice(ball_scan: Scan) -> None:
    values = np.random.default_rng(0).normal(size=(2, *ball_scan.brain.shape)).astype(np.float32)
    anomaly = AnomalyMap(scan=ball_scan, values=values, reconstruction=values, score="residual")
    scores = slice_scores(anomaly)
    assert scores.shape == (ball_scan.brain.shape[2],)
    for k, found in enumerate(scores):
        inside = values[:, ball_scan.brain[:, :, k], k]
        np.testing.assert_allclose(found, inside.mean() if inside.size else 0.0, rtol=1e-5)
    assert scores[0] == 0


def test_only_the_eroded_brain_counts(ball_scan: Scan) -> None:
    values = np.ones((1, *ball_scan.brain.shape), dtype=np.float32)
    left = np.zeros_like(ball_scan.brain)
    left[24, 26, 22] = True
    values[0, 24, 26, 22] = 7
    anomaly = AnomalyMap(scan=ball_scan, values=values, reconstruction=values, score="residual")
    scores = slice_scores(replace(anomaly, eroded_brain=left))
    assert scores[22] == 7
    assert np.count_nonzero(scores) == 1
