"""Wrong voxel sizes in the header are noticed by the volume of the brain."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.errors import QualityRefused
from anomri.preprocessing.brain.quality_check import check_brain_volume
from anomri.scan import Grid, Note


def notes_on(volume_ml: float, scale: float) -> list[Note]:
    """Check a brain whose voxel sizes are off by a factor."""
    brain = np.ones((10, 10, 10), dtype=bool)
    side = scale * volume_ml ** (1 / 3)  # mm, for 1000 voxels
    grid = Grid(shape=brain.shape, affine=np.diag([side, side, side, 1.0]))
    return check_brain_volume(brain, grid, name="flair.nii.gz")


@pytest.mark.parametrize("volume_ml", [1150, 1300, 1450, 1600])
def test_a_header_scaled_by_a_fifth_is_noted_or_refused(volume_ml: float) -> None:
    assert notes_on(volume_ml, 1.0) == []
    assert "voxel sizes in the header" in notes_on(volume_ml, 0.8)[0].text
    try:
        notes = notes_on(volume_ml, 1.2)
    except QualityRefused:
        return
    assert "voxel sizes in the header" in notes[0].text
