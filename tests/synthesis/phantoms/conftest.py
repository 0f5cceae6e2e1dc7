"""A random brain, shared by the tests of phantoms."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.synthesis.phantoms.anatomy import Anatomy, Atlas, draw_anatomy


@pytest.fixture(scope="session")
def atlas() -> Atlas:
    """Tissue maps, blurred for coarse voxels."""
    return Atlas.load(4.0)


@pytest.fixture(scope="session")
def anatomy(atlas: Atlas) -> Anatomy:
    """One person at 4 mm."""
    return draw_anatomy(np.random.default_rng(3), atlas, spacing_mm=4.0)
