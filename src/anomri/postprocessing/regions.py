"""Regions of a tumour as BraTS label numbers.

Weninger et al., section 4 and Figure 3: the whole tumour is what the FLAIR residual shows, the
enhancing tumour what the T1CE residual shows inside it, and the core its convex hull, because "the
enhancing tumor core mostly encloses the necrotic tissue". What is left of the tumour is edema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.components import Components, remove_small
from anomri.postprocessing.hulls import fill_hull
from anomri.postprocessing.inscribed_radius import largest_inscribed_radius_mm
from anomri.postprocessing.morphology import crop_around, dilate, fill_holes, opening
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Share, Size
from anomri.scan import Labels, Mask, Note, NoteKind

EDEMA, NECROSIS, ENHANCING = 2, 1, 4
SPECKS_MM = 1.5  # thinner dark parts are noise
DARK_CORE = Note(
    NoteKind.REGIONS,
    "hardly any contrast enhancement: what is dark after contrast medium was named core",
)

Box = tuple[slice, ...]
Tumours = Literal["each", "largest", "together"]


@dataclass(frozen=True, slots=True)
class Regions:
    """A tumour's regions.

    Attributes:
        labels: (I, J, K) BraTS numbers; 0 outside the tumour.
        note: what a reader must know of them, if anything.
    """

    labels: Labels
    note: Note | None = None


def hull(  # noqa: PLR0913 - what may be said of a tumour, each with a default
    whole: SegmentationState,
    enhancing: SegmentationState,
    *,
    dims: Literal[2, 3] = 3,
    tumours: Tumours = "each",
    smallest_ml: Size = 0.1,
    least_contrast: float = 0.0,
    reach_mm: Size = 0.0,
    hardly: Share = 0.0,
    darker: Size = 0.5,
    mass_mm: Size = 0.0,
) -> Regions:
    """Name the regions of what was found in two contrasts.

    A tumour without credible enhancement has no core: all of it is edema, and the note says so.
    The paper names such tumours as its limit; any two-component mixture finds a smaller component.

    Args:
        whole: the map that shows the whole tumour, and its mask.
        enhancing: the map that shows the enhancing tumour, and its mask; what lies outside the
            whole tumour does not count.
        dims: 3 for the convex hull of the volume, 2 for one per axial slice.
        tumours: ``each`` connected tumour gets a hull of its own; ``largest`` keeps nothing but
            the largest tumour ("the biggest blob", section 6); ``together`` draws one hull.
        smallest_ml: enhancing pieces (26 neighbours) below this volume are not enhancement.
        least_contrast: a tumour's enhancement must be this bright in the mean of its voxels, in
            robust standard deviations above the median of the brain.
        reach_mm: enhancement this close to the whole tumour counts too, and what its hull encloses
            becomes part of the tumour: a necrosis that is dark in FLAIR is found by its rim.
        hardly: where less than this share of all tumours enhances, what is dark in the second map
            is core too: tumours of low grade hardly enhance, and have one. 0 never asks.
        darker: how dark, in robust standard deviations below the median of the brain.
        mass_mm: only tumours into which a ball of this radius fits can have such a core.
    """
    if reach_mm:
        whole = _with_enclosed(whole, enhancing, reach_mm, dims, smallest_ml)
    pieces = remove_small(enhancing.with_mask(enhancing.lesion & whole.lesion), ml=smallest_ml)
    least = _least(enhancing, least_contrast)
    labels = np.zeros(whole.lesion.shape, dtype=np.uint8)
    found = _tumours(whole.lesion, tumours)
    without = 0
    for box, tumour in found:
        bright = pieces.lesion[box] & tumour
        credible = bright.any() and float(enhancing.values[box][bright].mean()) >= least
        bright &= credible
        _label(labels[box], tumour, fill_hull(bright, dims) & tumour, bright)
        without += not credible
    if np.count_nonzero(labels == ENHANCING) < hardly * np.count_nonzero(labels):
        dark = _dark(enhancing, labels, darker, mass_mm)
        if dark.any():
            labels[dark & (labels == EDEMA)] = NECROSIS
            return Regions(labels, DARK_CORE)
    return Regions(labels, _note(without, len(found)))


def _dark(enhancing: SegmentationState, labels: Labels, darker: float, mass_mm: float) -> Mask:
    """Return the dark parts of tumours; none where they hold no mass."""
    tumour = labels > 0
    if largest_inscribed_radius_mm(tumour, enhancing.spacing) < mass_mm:
        return np.zeros_like(tumour)
    centre, spread = enhancing.centre_and_spread()
    dark = tumour & (enhancing.values < centre - darker * spread)
    return opening(enhancing.with_mask(dark), mm=SPECKS_MM).lesion


def _least(enhancing: SegmentationState, contrast: float) -> float:
    """Return how bright the enhancement of a tumour must be in the mean."""
    if contrast:
        centre, spread = enhancing.centre_and_spread()
        return centre + contrast * spread
    inside = enhancing.values[enhancing.brain]
    return float(np.median(inside)) if inside.size else 0.0


def _with_enclosed(
    whole: SegmentationState,
    enhancing: SegmentationState,
    mm: float,
    dims: Literal[2, 3],
    smallest_ml: float,
) -> SegmentationState:
    """Add the hulls of the enhancing pieces within ``mm`` of the tumour that lie mostly in it."""
    near = enhancing.with_mask(enhancing.lesion & dilate(whole, mm=mm).lesion)
    pieces = Components(remove_small(near, ml=smallest_ml).lesion)
    if not pieces.count:
        return whole
    mask = whole.lesion.copy()
    for number, inner in enumerate(ndimage.find_objects(pieces.labels), start=1):
        box = _shifted(inner, pieces.box)
        piece = pieces.labels[inner] == number
        if 2 * np.sum(piece & whole.lesion[box]) >= piece.sum():
            mask[box] |= fill_hull(piece, dims)
    return fill_holes(whole.with_mask(mask))


def nested_labels(probabilities: NDArray[np.float32], cut: float, whole: Mask) -> Labels:
    """Turn probabilities of nested regions into label numbers.

    What is enhancing is 4, the rest of the core 1 and the rest of the tumour 2.

    Args:
        probabilities: (3, I, J, K) of whole tumour, core and enhancing tumour.
        cut: a region is where its probability is above it.
        whole: (I, J, K), the tumour after its mask was refined; no label lies outside.
    """
    _, core, enhancing = (probabilities > cut) & whole
    labels = np.zeros(whole.shape, dtype=np.uint8)
    _label(labels, whole, core, enhancing)
    return labels


def _label(labels: Labels, whole: Mask, core: Mask, enhancing: Mask) -> None:
    """Write label numbers of nested regions, the inner over the outer."""
    for mask, number in ((whole, EDEMA), (core, NECROSIS), (enhancing, ENHANCING)):
        labels[mask] = number


def _tumours(whole: Mask, tumours: Tumours) -> list[tuple[Box, Mask]]:
    """Return what gets a hull of its own, each as a box of the array and the mask inside it."""
    if not whole.any():
        return []
    if tumours == "together":
        box = crop_around(whole)
        return [(box, whole[box])]
    components = Components(whole)
    sizes = components.sizes()[1:]
    least = sizes.max(initial=1) if tumours == "largest" else 1
    return [
        (box, components.labels[inner] == number)
        for number, inner in enumerate(ndimage.find_objects(components.labels), start=1)
        if sizes[number - 1] >= least
        for box in [_shifted(inner, components.box)]
    ]


def _shifted(inner: Box, outer: Box) -> Box:
    """Return a box of a box as one of the whole array."""
    return tuple(
        slice(far.start + near.start, far.start + near.stop)
        for near, far in zip(inner, outer, strict=True)
    )


def _note(without: int, tumours: int) -> Note | None:
    if not without:
        return None
    which = "the tumour" if tumours == without == 1 else f"{without} of {tumours} tumours"
    text = f"no credible contrast enhancement in {which}: no core was named there"
    return Note(NoteKind.REGIONS, text)
