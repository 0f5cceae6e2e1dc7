"""Detections to write and draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from anomri.scan import (
    AnomalyMap,
    Detection,
    Finding,
    MapProvenance,
    Provenance,
    Scan,
    Threshold,
    bids_label,
)

Detect = Callable[..., Detection]


@pytest.fixture
def detect(ball_scan: Scan) -> Detect:
    """Return a function that finds the ball in the round brain; keywords change the scan."""

    def make(**changes: object) -> Detection:
        subject = str(changes.get("subject", ball_scan.subject))
        named = {"label": f"sub-{bids_label(subject)}", **changes}
        scan: Scan = replace(ball_scan, **named)  # type: ignore[arg-type]
        values = np.where(scan.brain, scan.image, 0).astype(np.float32)
        mask = values[0] > 2
        volume = float(mask.sum() * scan.grid.voxel_ml)
        return Detection(
            anomaly=AnomalyMap(
                scan=scan,
                values=values,
                reconstruction=np.full_like(values, 0.5) * scan.brain,
                score="residual",
            ),
            mask=mask,
            threshold=Threshold(value=2.0, rule="healthy", fitted_on=("secret_a", "secret_b")),
            slice_scores=values[0].mean(axis=(0, 1)).astype(np.float64),
            scan_score=volume,
            findings=(Finding(number=1, volume_ml=volume, centre_mm=(-60, 52, 44), peak=3.5),),
            provenance=Provenance(
                anomri_version="0.1.0",
                recipe="dvae",
                maps=(
                    MapProvenance(
                        name="whole", recipe="dvae", family="dvae", weights_sha256="0123abcd"
                    ),
                ),
            ),
        )

    return make
