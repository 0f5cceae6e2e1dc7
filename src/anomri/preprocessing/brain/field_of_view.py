"""Removal of the brain's edges where an image ends inside the brain.

Such an edge is bright or dark whatever the tissue. It lies at a face of the volume or, in an image
that was resampled to a larger grid, where the data end and only the background's value follows.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.preprocessing.brain.shape_check import cut_faces
from anomri.preprocessing.brain.stripped import Background
from anomri.preprocessing.connected_components import largest_component
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

EDGE_MM = 4.0
MIN_RADIUS_MM = 4.0  # smaller regions of the background's value may be dark tissue


def remove_cut_edges(brain: Mask, volume: Volume, grid: Grid) -> tuple[Mask, list[Note]]:
    """Return the brain without the edges where the image ends inside it, and notes on them.

    Args:
        brain: (I, J, K) bool.
        volume: (I, J, K).
        grid: grid of both.
    """
    notes: list[Note] = []
    kept = brain.copy()
    if (missing := region_without_data(brain, volume, grid)).any():
        distance_mm = ndimage.distance_transform_edt(~missing, sampling=grid.spacing)
        kept &= distance_mm > EDGE_MM
        missing_ml = np.count_nonzero(missing) * grid.voxel_ml
        text = f"the image ends inside the brain: {missing_ml:.0f} ml of the brain have no data"
        notes.append(Note(NoteKind.FIELD_OF_VIEW, text))
    for axis, spacing in enumerate(grid.spacing):
        layers, sections = max(round(EDGE_MM / spacing), 1), np.moveaxis(kept, axis, 0)
        first_cut, last_cut = cut_faces(brain, axis)
        if first_cut:
            sections[:layers] = False
        if last_cut:
            sections[-layers:] = False
    return (largest_component(kept), notes) if kept.any() else (brain, notes)


def region_without_data(brain: Mask, volume: Volume, grid: Grid) -> Mask:
    """Return (I, J, K) bool: the part of the brain that holds only the background's value.

    Args:
        brain: (I, J, K) bool.
        volume: (I, J, K).
        grid: grid of both.
    """
    constant: Mask = brain & (volume == np.float32(Background.measure(volume).level))
    if not constant.any():
        return constant
    depth_mm = ndimage.distance_transform_edt(constant, sampling=grid.spacing)
    core = depth_mm >= MIN_RADIUS_MM
    if not core.any():
        return np.zeros_like(constant)
    region: Mask = np.asarray(ndimage.binary_propagation(core, mask=constant), dtype=bool)
    return region
