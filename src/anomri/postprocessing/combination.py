"""Steps from the segmentation of one anomaly map to that of several.

A step is a function of the segmentation so far and of another map, which is made and segmented only
when the step asks for it; its keyword-only parameters are the options that a recipe may give. To
add a step: write one function and add one line to ``COMBINATION_STEPS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from math import inf
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from scipy import ndimage

from anomri.postprocessing.brightness import share_bright_without_field
from anomri.postprocessing.components import Components
from anomri.postprocessing.inscribed_radius import largest_inscribed_radius_mm
from anomri.postprocessing.log_odds import Edges, combined_with_probability
from anomri.postprocessing.morphology import opening
from anomri.postprocessing.region_competition import RegionCompetition
from anomri.postprocessing.regions import enclosed_core, hull, with_enclosed
from anomri.postprocessing.state import SegmentationState
from anomri.postprocessing.symmetry import mirrored_brightness
from anomri.recipe import Count, Share, Size, Step
from anomri.scan import (
    ADD_IF_NO_MASS,
    COMBINE_LOG_ODDS,
    COMPETE,
    CORRECT,
    NAME_REGIONS,
    Affine,
    AnomalyMap,
    Labels,
    Mask,
    Note,
    NoteKind,
    Scan,
    Threshold,
    Volume,
)

T1CE = "t1ce"
LEAST_MASS_RADIUS_MM = 7.0  # of what is left of a segmentation without its doubtful lesions
NO_MASS = Note(
    NoteKind.NO_MASS, "no mass: small lesions are looked for, with the help of a network"
)


@dataclass(frozen=True, slots=True)
class StepMap:
    """The map that a step works on; nothing of it is made before the step asks for it.

    Attributes:
        name: of the map.
        maps: of the scan, by name.
        threshold_of: computes the threshold of a map.
        state_of: segments a map.
    """

    name: str
    maps: Mapping[str, AnomalyMap]
    threshold_of: Callable[[str], Threshold]
    state_of: Callable[[str], SegmentationState]

    @property
    def anomaly(self) -> AnomalyMap:
        """The map itself."""
        return self.maps[self.name]

    @property
    def to_template(self) -> Affine | None:
        """(4, 4) voxel index of the scan to template mm; None if it was not registered."""
        to_template = self.scan.to_template
        return None if to_template is None else to_template @ self.scan.grid.affine

    @property
    def scan(self) -> Scan:
        """The scan, with the contrasts of the first map, which exists by now."""
        return self.maps[next(iter(self.maps))].scan

    @property
    def threshold(self) -> Threshold:
        """What the map is compared with."""
        return self.threshold_of(self.name)

    @property
    def state(self) -> SegmentationState:
        """The map and its mask."""
        return self.state_of(self.name)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What is segmented in one scan.

    Attributes:
        mask: (I, J, K) bool, the lesions.
        regions: (I, J, K) BraTS labels where regions were named.
        notes: what a reader must know of how it came about.
        thresholds: by map that it was made of.
        margin: (I, J, K), see :class:`~anomri.postprocessing.SegmentationState`.
    """

    mask: Mask
    regions: Labels | None = None
    notes: tuple[Note, ...] = ()
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    margin: Volume | None = None

    def on(self, anomaly: AnomalyMap) -> SegmentationState:
        """Return a map of the scan with this mask."""
        return SegmentationState.segmented(anomaly, self.mask, self.margin)


def add_if_no_mass(  # noqa: PLR0913 - the options of a recipe's step
    first: SegmentationState,
    second: StepMap,
    *,
    min_mass_radius_mm: Size,
    replace_first: bool = False,
    symmetric_from: float = inf,
    min_bright_fraction: Share = 0.0,
    bright_above: float = 3.0,
    probability_map: str = "",
    min_mean_probability: Share = 1.0,
) -> Segmentation:
    """Add the second map's lesions where no mass was segmented in the first.

    Args:
        first: the segmentation so far.
        second: the other map.
        min_mass_radius_mm: a lesion into which no ball of this radius fits is no mass.
        replace_first: keep the second map's lesions alone.
        symmetric_from: nor is a segmentation whose mirror image is this bright, relative to itself;
            see :func:`~anomri.postprocessing.symmetry.mirrored_brightness`.
        min_bright_fraction: nor is one of whose largest lesion less than this fraction stays bright
            without the linear bias field: a coil was close,
        bright_above: standard deviations above the brain's median.
        probability_map: name of the map of a network's probabilities. A segmentation
        min_mean_probability: of at least this mean probability is no coil's work, even if little of
            it stays bright.
    """
    radius = largest_inscribed_radius_mm(first.lesion, first.spacing)
    if (
        radius >= min_mass_radius_mm
        and (
            _is_probable(first, second, probability_map, min_mean_probability)
            or _stays_bright(first, second, min_bright_fraction, bright_above)
        )
        and not _symmetric(first, second, symmetric_from)
    ):
        return Segmentation(first.lesion)
    small = second.state
    if replace_first:
        return Segmentation(small.lesion, notes=(NO_MASS,), margin=small.margin)
    return Segmentation(first.lesion | small.lesion, notes=(NO_MASS,))


def _is_probable(first: SegmentationState, second: StepMap, name: str, least: float) -> bool:
    """Tell whether the mean probability of the mask is at least this; False without the map."""
    if name not in second.maps or not first.lesion.any():
        return False
    return float(second.maps[name].values[0][first.lesion].mean()) >= least


def _stays_bright(first: SegmentationState, second: StepMap, least: float, above: float) -> bool:
    """Tell whether the largest lesion is bright without the bias field too."""
    if least == 0 or not first.lesion.any():
        return True
    return share_bright_without_field(second.scan, first.lesion, above) >= least


def _symmetric(first: SegmentationState, second: StepMap, least: float) -> bool:
    """Tell whether the mirror image of the mask is as bright as that of white-matter disease."""
    if least == inf or second.to_template is None:
        return False
    return mirrored_brightness(first, second.to_template) >= least


def enclose(
    first: SegmentationState,
    second: StepMap,
    *,
    rim_distance_mm: Size = 2.0,
    dims: Literal[2, 3] = 2,
    smallest_ml: Size = 0.2,
) -> Segmentation:
    """Add what a rim encloses that is segmented in the second map and lies mostly in the first.

    Args:
        first: the segmentation so far.
        second: the map that shows rims, such as enhancement after contrast medium.
        rim_distance_mm: how far from the mask a rim may lie.
        dims: 3 for the hull of the rim's volume, 2 for one per axial slice.
        smallest_ml: smaller rims are ignored.
    """
    return Segmentation(
        with_enclosed(first, second.state, rim_distance_mm, dims, smallest_ml).lesion
    )


def compete(  # noqa: PLR0913 - the options of a recipe's step
    first: SegmentationState,
    second: StepMap,
    *,
    min_mass_radius_mm: Size,
    min_mass_fraction: Share = 0.8,
    iterations: Count = 8,
    step_mm: Size = 4.0,
    ring_from_mm: Size = 6.0,
    ring_to_mm: Size = 20.0,
    penalty_per_mm: Size = 0.25,
    core_map: str = "",
    probability_map: str = "",
    faint_fraction: Share = 0.0,
    faint_probability: Share = 0.3,
    dark_below: float = -inf,
    fluid_below: float = -inf,
    grey_core_probability: Share = 1.0,
    grey_core_radius_mm: Size = 0.0,
    min_mean_probability: Share = 0.0,
) -> Segmentation:
    """Grow a mass by region competition; see :mod:`anomri.postprocessing.region_competition`.

    Args:
        first: the segmentation so far.
        second: intensities of all contrasts. Voxels are added where the first contrast is above the
            threshold of this map.
        min_mass_radius_mm: a segmentation into which no ball of this radius fits is left alone,
        min_mass_fraction: and so is one whose largest lesion holds a smaller fraction of the
            volume: several large lesions are white-matter disease more often than masses.
        iterations: largest number of iterations.
        step_mm: how far the mask grows in one iteration at most.
        ring_from_mm: smallest distance from the mask of the brain that it is compared with.
        ring_to_mm: largest distance from the mask of the brain that it is compared with.
        penalty_per_mm: subtracted from the log odds for each mm from the mask at the start.
        core_map: name of the map of enhancing tumour. If the mask holds hardly more than the core
            that this shows, the tissue around the core is taken for edema and stands for the mask.
            A scan without this map does without.
        probability_map: name of the map of a network's probabilities, which stops floods:
        faint_fraction: voxels whose first contrast is below this fraction of the mask's median are
            added only
        faint_probability: where the probability is above this.
        dark_below: voxels whose T1CE is below this are added too: a tumour's core may be as grey in
            FLAIR as brain, but has a long T1,
        fluid_below: unless their first contrast is below this, as that of fluid.
        grey_core_probability: such a core may not resemble the mask at all. Where the network's
            probability is above this as well, and a ball
        grey_core_radius_mm: of this radius fits, voxels join the mask whatever they resemble.
        min_mean_probability: lesions of a smaller mean probability are given up before, provided
            that a mass is left: a coil brightens healthy tissue far from the tumour.
    """
    if not _holds_ball(first, min_mass_radius_mm):
        return Segmentation(first.lesion)
    if probability_map in second.maps and min_mean_probability:
        first = _without_doubtful(first, second.maps[probability_map], min_mean_probability)
    if (
        not _holds_ball(first, min_mass_radius_mm)
        or _largest_fraction(first.lesion) < min_mass_fraction
    ):
        return Segmentation(first.lesion)
    anomaly = second.anomaly
    growth = RegionCompetition(
        iterations=iterations,
        step_mm=step_mm,
        ring_mm=(ring_from_mm, ring_to_mm),
        penalty_per_mm=penalty_per_mm,
    )
    allowed = anomaly.brain & (anomaly.values[0] > second.threshold.value)
    dark = _dark_tissue(anomaly, dark_below, fluid_below)
    certain = np.zeros_like(allowed)
    if probability_map in second.maps:
        probability = second.maps[probability_map].values[0]
        bright = _bright_as(first.lesion, anomaly, faint_fraction)
        allowed &= (probability > faint_probability) | bright
        sure = first.with_mask(dark & (probability > grey_core_probability))
        certain = _wide(sure, grey_core_radius_mm)
    allowed |= dark
    core = enclosed_core(first, second.state_of(core_map)) if core_map in second.maps else None
    return Segmentation(growth.grow(first, anomaly.values, anomaly.brain, allowed, core, certain))


def _without_doubtful(
    state: SegmentationState, probability: AnomalyMap, least: float
) -> SegmentationState:
    """Remove lesions of a smaller mean probability, provided that a mass is left."""
    components = Components(state.lesion)
    means = components.sums(probability.values[0]) / np.maximum(components.sizes(), 1)
    probable = state.with_mask(components.select(means >= least))
    return probable if _holds_ball(probable, LEAST_MASS_RADIUS_MM) else state


def _wide(state: SegmentationState, radius_mm: float) -> Mask:
    """Return the parts of a mask into which a ball of a radius fits."""
    return opening(state, mm=radius_mm).lesion if state.lesion.any() else state.lesion


def _bright_as(mask: Mask, anomaly: AnomalyMap, fraction: float) -> Mask:
    """Return what is brighter than a fraction of the mask's median in the first contrast."""
    inside = anomaly.values[0][mask & anomaly.brain]
    bright: Mask = anomaly.values[0] > fraction * (np.median(inside) if inside.size else 0.0)
    return bright


def _dark_tissue(anomaly: AnomalyMap, dark_below: float, fluid_below: float) -> Mask:
    """Return the brain that is dark in T1CE, but no fluid; nothing where T1CE is missing."""
    if T1CE not in anomaly.scan.contrasts:
        return np.zeros_like(anomaly.brain)
    t1ce = anomaly.values[anomaly.scan.contrasts.index(T1CE)]
    dark: Mask = anomaly.brain & (t1ce < dark_below) & (anomaly.values[0] > fluid_below)
    return dark


def correct(
    first: SegmentationState,
    second: StepMap,
    *,
    min_share: Share = 0.1,
    min_kept: Share = 0.75,
    reach_mm: Size = 10.0,
    min_value: float = 2.0,
) -> Segmentation:
    """Correct the segmentation by the probabilities of a network.

    Voxels near the segmentation are added where the probability is above its threshold.

    Args:
        first: the segmentation so far.
        second: probabilities.
        min_share: of the threshold, at or below which voxels of the segmentation are given up.
        min_kept: a network that would keep a smaller share of the segmentation contradicts it: then
            nothing is given up.
        reach_mm: how far from the segmentation voxels may be added.
        min_value: of the first map, above which voxels may be added.
    """
    probability, level = second.anomaly.values[0], second.threshold.value
    kept = first.lesion & (probability > level * min_share)
    if np.count_nonzero(kept) < min_kept * np.count_nonzero(first.lesion):
        kept = first.lesion
    if not kept.any():
        return Segmentation(kept)
    away = ndimage.distance_transform_edt(~first.lesion, sampling=first.spacing)
    allowed = (away <= reach_mm) & (first.values > min_value)
    return Segmentation(kept | (allowed & (probability > level)))


def combine_log_odds(
    first: SegmentationState,
    second: StepMap,
    *,
    per_mm: Annotated[float, Field(gt=0)],
    min_mass_radius_mm: Size = 0.0,
    min_kept: Share = 0.0,
    edge_sigma_mm: Size = 0.0,
) -> Segmentation:
    """Let a network decide near the border of a mass; see :mod:`anomri.postprocessing.log_odds`.

    Args:
        first: the segmentation so far.
        second: probabilities of the network.
        per_mm: log odds of the segmentation for each mm inside its border.
        min_mass_radius_mm: a segmentation into which no ball of this radius fits is left alone, and
            the network does not run.
        min_kept: a network that would keep a smaller share of the segmentation contradicts it: then
            the segmentation stays as it is.
        edge_sigma_mm: the border follows the edges of the scan's first contrast: standard deviation
            of the windows of a guided filter. 0 for no filter.
    """
    if not _holds_ball(first, min_mass_radius_mm):
        return Segmentation(first.lesion)
    anomaly, level = second.anomaly, second.threshold.value
    edges = Edges.of_first_contrast(second.scan, edge_sigma_mm) if edge_sigma_mm else None
    mask = combined_with_probability(
        first.lesion, anomaly.values[0], level, per_mm, first.spacing, edges
    )
    if np.count_nonzero(mask & first.lesion) < min_kept * np.count_nonzero(first.lesion):
        return Segmentation(first.lesion)
    return Segmentation(mask & anomaly.brain)


def _holds_ball(state: SegmentationState, radius_mm: float) -> bool:
    """Tell whether a ball of a radius fits into the mask; one of radius 0 needs no look at it."""
    return not radius_mm or largest_inscribed_radius_mm(state.lesion, state.spacing) >= radius_mm


def _largest_fraction(mask: Mask) -> float:
    """Return the largest lesion's fraction of the volume of all; 0 without a lesion."""
    sizes = Components(mask).sizes()
    return float(sizes.max() / max(sizes.sum(), 1))


@wraps(hull)
def name_regions(first: SegmentationState, second: StepMap, **options: Any) -> Segmentation:
    """Name the regions of a tumour: the whole in the first map, the enhancing in the second."""
    regions = hull(first, second.state, **options)
    notes = (regions.note,) if regions.note else ()
    return Segmentation(regions.labels > 0, regions.labels, notes, margin=first.margin)


NO_MASS_FITS = {"min_mass_radius_mm": 1e6}  # option of `add_if_no_mass`
ANY_SIZE = {"min_mass_radius_mm": 0}  # option of `combine_log_odds`
CHANGE_MASK = {"rim_distance_mm", "reach_mm", "tumours"}  # options of `name_regions`, one renamed
ANY_MASS = {**ANY_SIZE, "min_mass_fraction": 0}
COMBINATION_STEPS: Mapping[str, Callable[..., Segmentation]] = {
    ADD_IF_NO_MASS: add_if_no_mass,
    COMBINE_LOG_ODDS: combine_log_odds,
    "enclose": enclose,
    COMPETE: compete,
    CORRECT: correct,
    NAME_REGIONS: name_regions,
}


def unconditional(step: Step) -> Step:
    """Return a step that does what it did before, whatever the mask is now."""
    if step.name == ADD_IF_NO_MASS:
        return Step(name=ADD_IF_NO_MASS, options={**step.options, **NO_MASS_FITS})
    if step.name == COMPETE:
        return Step(name=COMPETE, options={**step.options, **ANY_MASS})
    if step.name == COMBINE_LOG_ODDS:
        return Step(name=COMBINE_LOG_ODDS, options={**step.options, **ANY_SIZE})
    return step


def changes_mask(step: Step) -> bool:
    """Tell whether a step may change the mask; most ways to name regions only divide it."""
    return step.name != NAME_REGIONS or not CHANGE_MASK.isdisjoint(step.options)
