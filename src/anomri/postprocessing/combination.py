"""Steps that combine the segmentations of two anomaly maps.

A step is a function of the segmentation so far and of the state of another map, which is made only
when the step asks for it; its keyword-only parameters are the options that a recipe may give. To
add a step: write one function and add one line to ``COMBINATION_STEPS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

from anomri.postprocessing.inscribed_radius import largest_inscribed_radius_mm
from anomri.postprocessing.regions import hull
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Size
from anomri.scan import ADD_IF_NO_MASS, NAME_REGIONS, Labels, Mask, Note, NoteKind, Threshold

NO_MASS = Note(
    NoteKind.NO_MASS, "no mass: lesions that the network and brightness agree on are added"
)

MakeState = Callable[[], SegmentationState]


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What is segmented in one scan.

    Attributes:
        mask: (I, J, K) bool, the lesions.
        regions: (I, J, K) BraTS labels where regions were named.
        notes: what a reader must know of how it came about.
        thresholds: by map that it was made of.
    """

    mask: Mask
    regions: Labels | None = None
    notes: tuple[Note, ...] = ()
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)


def add(first: SegmentationState, second: MakeState) -> Segmentation:
    """Add the second map's lesions."""
    return Segmentation(first.lesion | second().lesion)


def add_if_no_mass(
    first: SegmentationState, second: MakeState, *, min_mass_radius_mm: Size
) -> Segmentation:
    """Add the second map's lesions where no mass was segmented in the first.

    Args:
        first: the segmentation so far.
        second: makes the state of the other map.
        min_mass_radius_mm: a lesion into which no ball of this radius fits is no mass.
    """
    if largest_inscribed_radius_mm(first.lesion, first.spacing) >= min_mass_radius_mm:
        return Segmentation(first.lesion)
    return replace(add(first, second), notes=(NO_MASS,))


@wraps(hull)
def name_regions(first: SegmentationState, second: MakeState, **options: Any) -> Segmentation:
    """Name the regions of a tumour: the whole in the first map, the enhancing in the second."""
    regions = hull(first, second(), **options)
    return Segmentation(regions.labels > 0, regions.labels, (regions.note,) if regions.note else ())


ADD = "add"
COMBINATION_STEPS: Mapping[str, Callable[..., Segmentation]] = {
    ADD: add,
    ADD_IF_NO_MASS: add_if_no_mass,
    NAME_REGIONS: name_regions,
}
