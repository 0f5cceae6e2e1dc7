"""Quality check of the brain's volume, for given and found brain masks alike."""

from __future__ import annotations

import numpy as np

from anomri.errors import QualityRefused
from anomri.scan import Grid, Mask, Note, NoteKind

ACCEPTED_ML = (200.0, 2500.0)  # includes children and partial fields of view
USUAL_ML = (900.0, 1900.0)  # of adults; a voxel size that is off by a fifth leads outside it
MIN_VOXELS = 500

_NEXT_STEP = "check the scan, and provide a brain mask if it shows a whole head"


def check_brain_volume(
    brain: Mask, grid: Grid, *, name: str, spacing_known: bool = True
) -> list[Note]:
    """Return a note on an unusual brain volume, if any.

    Args:
        brain: (I, J, K) bool.
        grid: grid of the brain.
        name: file name, for errors.
        spacing_known: whether the voxel size is known; else only the number of voxels is checked.

    Raises:
        QualityRefused: the brain is under 200 ml or over 2500 ml, or has under 500 voxels.
    """
    voxels = int(np.count_nonzero(brain))
    if voxels < MIN_VOXELS:
        raise QualityRefused(
            name,
            expected=f"a brain of at least {MIN_VOXELS} voxels",
            got=f"{voxels}",
            next_step=_NEXT_STEP,
        )
    volume_ml = voxels * grid.voxel_ml
    if not spacing_known or USUAL_ML[0] <= volume_ml <= USUAL_ML[1]:
        return []
    if ACCEPTED_ML[0] <= volume_ml <= ACCEPTED_ML[1]:
        low, high = USUAL_ML
        text = (
            f"brain volume {volume_ml:.0f} ml is outside the usual {low:.0f}-{high:.0f} ml: "
            "check the voxel sizes in the header, and the brain's outline"
        )
        return [Note(NoteKind.BRAIN_MASK, text)]
    raise QualityRefused(
        name,
        expected=f"a brain of {ACCEPTED_ML[0]:.0f} to {ACCEPTED_ML[1]:.0f} ml",
        got=f"{volume_ml:.0f} ml",
        next_step=_NEXT_STEP,
    )
