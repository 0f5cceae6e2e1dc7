"""Gates: what a scan must be before a result on it deserves trust."""

from __future__ import annotations

import numpy as np

from anomri.errors import QualityRefused
from anomri.scan import Grid, Mask, Note, NoteKind

BRAIN_ML = (200.0, 2500.0)  # outside it is no brain: children and partial fields are inside
USUAL_ML = (900.0, 1900.0)  # of adults; voxel sizes a fifth too small or large lie outside
MIN_VOXELS = 500

_GIVE_MASK = "look at the scan, and give a brain mask if it is a whole head"


def check_brain(brain: Mask, grid: Grid, *, name: str, spacing_known: bool = True) -> list[Note]:
    """Return what a reader must know of the brain's size.

    Args:
        brain: (I, J, K).
        grid: where it lies.
        name: of the scan, for the error.
        spacing_known: whether ml mean anything.

    Raises:
        QualityRefused: the brain is under 200 ml or over 2500 ml, or has under 500 voxels.
    """
    voxels = int(np.count_nonzero(brain))
    if voxels < MIN_VOXELS:
        raise QualityRefused(
            name,
            expected=f"a brain of at least {MIN_VOXELS} voxels",
            got=f"{voxels}",
            next_step=_GIVE_MASK,
        )
    volume = voxels * grid.voxel_ml
    if not spacing_known or USUAL_ML[0] <= volume <= USUAL_ML[1]:
        return []
    if BRAIN_ML[0] <= volume <= BRAIN_ML[1]:
        low, high = USUAL_ML
        text = (
            f"brain volume {volume:.0f} ml is outside the usual {low:.0f}-{high:.0f} ml: "
            "check the voxel sizes in the header, and the brain's outline"
        )
        return [Note(NoteKind.BRAIN_MASK, text)]
    raise QualityRefused(
        name,
        expected=f"a brain of {BRAIN_ML[0]:.0f} to {BRAIN_ML[1]:.0f} ml",
        got=f"{volume:.0f} ml",
        next_step=_GIVE_MASK,
    )
