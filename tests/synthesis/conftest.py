"""An artificial anatomy: ventricles in white matter in cortex, 3 mm."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anomri.synthesis import Anatomies, Anatomy

SHAPE = (48, 56, 48)


@pytest.fixture(scope="session")
def anatomy() -> Anatomy:
    index = np.indices((60, 60, 60)).astype(float) - 30
    radius = np.sqrt((index[0] / 21) ** 2 + (index[1] / 25) ** 2 + (index[2] / 21) ** 2)
    labels = np.select([radius < 0.25, radius < 0.8, radius < 1], [51, 81, 100], 0)
    scan = np.select([radius < 0.25, radius < 0.8, radius < 1], [10.0, 100.0, 60.0], 0.0)
    noisy = scan + np.random.default_rng(0).normal(0, 2, scan.shape)
    return Anatomy.of(noisy.astype(np.float32), labels.astype(np.uint8), 3.0, SHAPE)


@pytest.fixture(scope="session")
def anatomies(anatomy: Anatomy) -> Anatomies:
    return Anatomies.of([anatomy], torch.device("cpu"))
