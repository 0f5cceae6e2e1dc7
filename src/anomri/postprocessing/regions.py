"""Tumour regions as BraTS label numbers.

Weninger et al., section 4 and Figure 3: the whole tumour is segmented on the FLAIR residual, the
enhancing tumour inside it on the T1CE residual, and the core is the convex hull of the latter,
because "the enhancing tumor core mostly encloses the necrotic tissue". The rest is edema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.components import Components, remove_small
from anomri.postprocessing.half_maximum import grow_to_half_maximum
from anomri.postprocessing.hulls import fill_hull
from anomri.postprocessing.inscribed_radius import largest_inscribed_radius_mm
from anomri.postprocessing.morphology import (
    closing,
    crop_around,
    dilate,
    fill_holes,
    fill_holes_in_all_planes,
    opening,
)
from anomri.postprocessing.state import SegmentationState, median_of
from anomri.recipe import Share, Size
from anomri.scan import Labels, Mask, Note, NoteKind

EDEMA, NECROSIS, ENHANCING = 2, 1, 4
SMALLEST_RIM_ML = 0.2
CORE_MM = 6.0  # growth to half maximum, and closing, of a core before regions are named
MIN_NECROSIS_RADIUS_MM = 1.5  # thinner dark parts are noise
DARK_CORE = Note(
    NoteKind.REGIONS,
    "hardly any contrast enhancement: parts that are dark in T1CE were labelled core",
)

Box = tuple[slice, ...]
Tumours = Literal["each", "largest", "together"]


@dataclass(frozen=True, slots=True)
class Regions:
    """Labelled tumour regions.

    Attributes:
        labels: (I, J, K) BraTS numbers; 0 outside the tumour.
        note: limitation that a reader has to know; None without one.
    """

    labels: Labels
    note: Note | None = None


def hull(  # noqa: PLR0913 - the options of a recipe's step, each with a default
    whole: SegmentationState,
    enhancing: SegmentationState,
    *,
    dims: Literal[2, 3] = 3,
    tumours: Tumours = "each",
    smallest_ml: Size = 0.1,
    least_contrast: float = 0.0,
    half_maximum_mm: Size = 0.0,
    closing_mm: Size = 0.0,
    rim_distance_mm: Size = 0.0,
    min_enhancing_fraction: Share = 0.0,
    necrosis_sd: Size = 0.5,
    min_mass_radius_mm: Size = 0.0,
) -> Regions:
    """Label edema, core and enhancing tumour from the masks of two contrasts.

    A tumour without credible enhancement has no core: all of it is labelled edema, with a note.
    The paper names such tumours as its limit, since a two-component mixture always finds a smaller
    component.

    Args:
        whole: map and mask of the whole tumour.
        enhancing: map and mask of the enhancing tumour; voxels outside the whole tumour are
            ignored.
        dims: 3 for the convex hull of the volume, 2 for one per axial slice.
        tumours: ``each`` connected tumour has its own hull; ``largest`` labels the largest tumour
            only ("the biggest blob", section 6); ``together`` uses one hull for all.
        smallest_ml: smaller enhancing components (26-connectivity) are ignored.
        least_contrast: minimum of a tumour's mean enhancement, in robust standard deviations above
            the median of the brain.
        half_maximum_mm: enhancement grows by at most this distance, to half of its contrast to the
            tumour around it; see :func:`grow_to_half_maximum`. 0 switches this off.
        closing_mm: the core is the enhancement closed with a ball of this radius, with its holes
            filled, in place of the convex hull, which reaches across edema from one end of a
            tumour to the other. 0 switches this off.
        rim_distance_mm: enhancement within this distance of the whole tumour counts as well, and
            the tumour is extended by its hull: a necrosis that is dark in FLAIR is found by its
            rim.
        min_enhancing_fraction: if a smaller fraction of all tumours enhances, only enhancement
            counts whose connected component lies mostly in a tumour, as vessels, dura and choroid
            plexus continue outside (larger rims are often connected to vessels, and count); and
            dark parts in the second map are labelled core: low-grade tumours have a core that
            hardly enhances. 0 switches this off.
        necrosis_sd: how dark these parts are, in robust standard deviations below the median of
            the brain.
        min_mass_radius_mm: only tumours with an inscribed ball of this radius can have such a
            core.
    """
    if rim_distance_mm:
        whole = with_enclosed(whole, enhancing, rim_distance_mm, dims, smallest_ml)
    pieces = remove_small(enhancing.with_mask(enhancing.lesion & whole.lesion), ml=smallest_ml)
    if np.count_nonzero(pieces.lesion) < min_enhancing_fraction * np.count_nonzero(whole.lesion):
        pieces = _without_vessels(pieces, enhancing.lesion, whole.lesion)
    if half_maximum_mm:
        pieces = grow_to_half_maximum(pieces, whole.lesion, mm=half_maximum_mm)
    min_mean = _min_mean_enhancement(enhancing, least_contrast)
    labels = np.zeros(whole.lesion.shape, dtype=np.uint8)
    tumour_masks = _tumours(whole.lesion, tumours)
    without_core = 0
    for box, tumour in tumour_masks:
        bright = pieces.lesion[box] & tumour
        credible = bright.any() and float(enhancing.values[box][bright].mean()) >= min_mean
        bright &= credible
        core = _enclosed(pieces, box, bright, closing_mm) if closing_mm else fill_hull(bright, dims)
        _label(labels[box], tumour, core & tumour, bright)
        without_core += not credible
    enhancing_voxels, tumour_voxels = (np.count_nonzero(m) for m in (labels == ENHANCING, labels))
    if enhancing_voxels < min_enhancing_fraction * tumour_voxels:
        dark = _dark_parts(enhancing, labels, necrosis_sd, min_mass_radius_mm)
        if dark.any():
            labels[dark & (labels == EDEMA)] = NECROSIS
            return Regions(labels, DARK_CORE)
    return Regions(labels, _note(without_core, len(tumour_masks)))


def _without_vessels(pieces: SegmentationState, enhancing: Mask, whole: Mask) -> SegmentationState:
    """Remove the pieces of enhancing components that lie mostly outside the tumours."""
    components = Components(enhancing)
    inside, outside = components.sums(whole), components.sums(~whole)
    return pieces.with_mask(pieces.lesion & components.select(inside >= outside))


def _enclosed(pieces: SegmentationState, box: Box, bright: Mask, mm: float) -> Mask:
    """Close the enhancement of one tumour and fill its holes.

    Args:
        pieces: the state of all enhancement.
        box: the tumour's bounding box.
        bright: its enhancement, in the box.
        mm: radius of the closing.
    """
    mask = np.zeros_like(pieces.lesion)
    mask[box] = bright
    closed = closing(pieces.with_mask(mask), mm=mm) if bright.any() else pieces.with_mask(mask)
    return fill_holes_in_all_planes(closed).lesion[box]


def _dark_parts(
    enhancing: SegmentationState, labels: Labels, necrosis_sd: float, min_mass_radius_mm: float
) -> Mask:
    """Return the dark parts of the tumours; empty if no tumour is a mass."""
    tumour = labels > 0
    if largest_inscribed_radius_mm(tumour, enhancing.spacing) < min_mass_radius_mm:
        return np.zeros_like(tumour)
    centre, spread = enhancing.centre_and_spread()
    dark = tumour & (enhancing.values < centre - necrosis_sd * spread)
    return opening(enhancing.with_mask(dark), mm=MIN_NECROSIS_RADIUS_MM).lesion


def _min_mean_enhancement(enhancing: SegmentationState, contrast: float) -> float:
    """Return the minimum of a tumour's mean enhancement, in the units of the map."""
    if contrast:
        centre, spread = enhancing.centre_and_spread()
        return centre + contrast * spread
    inside = enhancing.values[enhancing.brain]
    return median_of(inside) if inside.size else 0.0


def with_enclosed(
    whole: SegmentationState,
    enhancing: SegmentationState,
    mm: float,
    dims: Literal[2, 3],
    smallest_ml: float,
) -> SegmentationState:
    """Add the hulls of enhancing components within ``mm`` of the tumour that lie mostly in it."""
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


def enclosed_core(whole: SegmentationState, enhancing: SegmentationState) -> Mask:
    """Return the core of a tumour as its enhancement shows it, closed and with its holes filled."""
    pieces = remove_small(enhancing.with_mask(enhancing.lesion & whole.lesion), ml=SMALLEST_RIM_ML)
    pieces = grow_to_half_maximum(pieces, whole.lesion, mm=CORE_MM)
    everywhere = (slice(None),) * 3
    return _enclosed(pieces, everywhere, pieces.lesion, CORE_MM) & whole.lesion


def nested_labels(probabilities: NDArray[np.float32], cut: float, whole: Mask) -> Labels:
    """Convert probabilities of nested regions to BraTS label numbers.

    Enhancing tumour is 4, the rest of the core 1 and the rest of the tumour 2.

    Args:
        probabilities: (3, I, J, K) of whole tumour, core and enhancing tumour.
        cut: probability above which a voxel belongs to a region.
        whole: (I, J, K) refined mask of the tumour; labels outside it are 0.
    """
    _, core, enhancing = (probabilities > cut) & whole
    labels = np.zeros(whole.shape, dtype=np.uint8)
    _label(labels, whole, core, enhancing)
    return labels


def _label(labels: Labels, whole: Mask, core: Mask, enhancing: Mask) -> None:
    """Write the label numbers of nested regions, inner regions last."""
    for mask, number in ((whole, EDEMA), (core, NECROSIS), (enhancing, ENHANCING)):
        labels[mask] = number


def _tumours(whole: Mask, tumours: Tumours) -> list[tuple[Box, Mask]]:
    """Return the tumours that have a hull of their own: bounding box, and mask inside it."""
    if not whole.any():
        return []
    if tumours == "together":
        box = crop_around(whole)
        return [(box, whole[box])]
    components = Components(whole)
    sizes = components.sizes()[1:]
    min_size = sizes.max(initial=1) if tumours == "largest" else 1
    return [
        (box, components.labels[inner] == number)
        for number, inner in enumerate(ndimage.find_objects(components.labels), start=1)
        if sizes[number - 1] >= min_size
        for box in [_shifted(inner, components.box)]
    ]


def _shifted(inner: Box, outer: Box) -> Box:
    """Convert a box relative to ``outer`` to one of the whole array."""
    return tuple(
        slice(outer_side.start + side.start, outer_side.start + side.stop)
        for side, outer_side in zip(inner, outer, strict=True)
    )


def _note(without_core: int, tumours: int) -> Note | None:
    if not without_core:
        return None
    which = "the tumour" if tumours == without_core == 1 else f"{without_core} of {tumours} tumours"
    text = f"no credible contrast enhancement in {which}: no core was labelled there"
    return Note(NoteKind.REGIONS, text)
