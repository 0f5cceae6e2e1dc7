"""A labelled head that is small and round."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.synthesis import LabelledHead


@pytest.fixture(scope="session")
def head() -> LabelledHead:
    """An ellipsoid brain in a dark skull in a bright scalp in air, at 4 mm."""
    index = np.indices((48, 60, 56)).astype(float) - np.array([24, 30, 30])[:, None, None, None]
    radius = np.sqrt((index[0] / 17) ** 2 + (index[1] / 21) ** 2 + (index[2] / 16) ** 2)
    scan = np.select([radius < 0.5, radius < 1, radius < 1.15, radius < 1.3], [90, 60, 5, 120], 0.0)
    anatomy = np.where(radius < 1, np.where(index[0] > 0, 7, 4), 0).astype(np.uint8)
    return LabelledHead.of(scan.astype(np.float32), anatomy, (4.0, 4.0, 4.0))
