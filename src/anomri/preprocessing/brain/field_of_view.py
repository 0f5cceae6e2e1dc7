"""Where an image ends inside the brain: its edge is left out, since it is bright or dark by itself.

An edge lies at a face of the volume, or, in an image that was resampled to a larger grid, where the
brain goes on and the image holds only the background's value.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.preprocessing.brain.shape_check import CUT_SHARE
from anomri.preprocessing.brain.stripped import Background
from anomri.preprocessing.connected_components import largest_component
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

EDGE_MM = 4.0
UNSEEN_MM = 4.0  # radius of the smallest region without values that is taken for one


def without_cut_edges(brain: Mask, volume: Volume, grid: Grid) -> tuple[Mask, list[Note]]:
    """Return the brain that an image shows, without the edges where it ends inside the brain.

    Args:
        brain: (I, J, K).
        volume: (I, J, K).
        grid: where they lie.
    """
    kept, notes = brain.copy(), []
    if (unseen := unseen_part(brain, volume, grid)).any():
        far = ndimage.distance_transform_edt(~unseen, sampling=grid.spacing)
        kept &= far > EDGE_MM
        ml = np.count_nonzero(unseen) * grid.voxel_ml
        text = f"the image ends inside the brain: {ml:.0f} ml of it hold no values"
        notes.append(Note(NoteKind.FIELD_OF_VIEW, text))
    for axis, mm in enumerate(grid.spacing):
        sections = np.count_nonzero(brain, axis=tuple(a for a in range(3) if a != axis))
        layers, view = max(round(EDGE_MM / mm), 1), np.moveaxis(kept, axis, 0)
        if sections[0] > CUT_SHARE * sections.max():
            view[:layers] = False
        if sections[-1] > CUT_SHARE * sections.max():
            view[-layers:] = False
    return (largest_component(kept), notes) if kept.any() else (brain, notes)


def unseen_part(brain: Mask, volume: Volume, grid: Grid) -> Mask:
    """Return (I, J, K) bool: the part of the brain where the image holds its background's value.

    Args:
        brain: (I, J, K).
        volume: (I, J, K).
        grid: where they lie.
    """
    flat: Mask = brain & (volume == np.float32(Background.of(volume).level))
    if not flat.any():
        return flat
    deep = ndimage.distance_transform_edt(flat, sampling=grid.spacing) >= UNSEEN_MM
    if not deep.any():
        return np.zeros_like(flat)
    part: Mask = np.asarray(ndimage.binary_propagation(deep, mask=flat), dtype=bool)
    return part
