"""What several rooms' tests share: small synthetic scans and the way to the real ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from anomri.scan import Grid, Scan


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real scans, or skip with a clear word."""
    folder = os.environ.get("ANOMRI_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real scans here: set ANOMRI_DATA to their folder")
    return Path(folder)


@pytest.fixture
def ball_scan() -> Scan:
    """A round brain of 20 voxels' radius at 2 mm with a bright ball lesion in it."""
    index = np.indices((48, 52, 44)).astype(np.float32)
    brain = np.linalg.norm(index - np.array([24, 26, 22])[:, None, None, None], axis=0) < 20
    lesion = np.linalg.norm(index - np.array([30, 26, 22])[:, None, None, None], axis=0) < 5
    rng = np.random.default_rng(0)
    image = np.where(brain, rng.normal(0, 0.2, brain.shape) + 3 * lesion, 0).astype(np.float32)
    grid = Grid(shape=(48, 52, 44), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    return Scan(
        subject="ball_01",
        label="sub-ball01",
        image=image[None],
        contrasts=("flair",),
        brain=brain,
        grid=grid,
        native=grid,
        truth=np.where(lesion & brain, 2, 0).astype(np.uint8),
    )
