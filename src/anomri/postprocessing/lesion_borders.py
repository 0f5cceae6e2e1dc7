"""Borders of small lesions, half-way between each lesion and the tissue around it.

Where partial volume blurs the border between a lesion and tissue of uniform brightness, the voxels
that belong to the lesion by at least one half are those above the mean of both brightnesses. Both
are measured at each lesion: one level for the whole scan draws faint lesions too small and bright
ones too large.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from anomri.postprocessing.components import TOUCHING, Components
from anomri.postprocessing.filters import smooth
from anomri.postprocessing.morphology import ball, crop_around, dilation
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Share, Size
from anomri.scan import Mask, Volume

ITERATIONS = 2  # the tissue around a lesion is known once its border is
TISSUE_SIGMAS = 3  # of the Gaussian, beyond which little counts
REACH_SIGMAS = 3  # of the Gaussian that weights the peaks of the cores near a voxel


@dataclass(frozen=True, slots=True)
class _Border:
    """How far lesions reach; the attributes are options of :func:`half_maximum`."""

    fraction: float
    min_level: float
    percentile: float
    reach_mm: float
    tissue_sigma_mm: float
    gap_mm: float
    tissue_above: float

    def grow(self, state: SegmentationState, core: Mask) -> tuple[Mask, Volume]:
        """Return the lesions that grow from the core, and the brightness above the level."""
        away_mm = ndimage.distance_transform_edt(~core, sampling=state.spacing)
        peaks = _peaks(state.values, core, self.percentile)
        peaks = _mean_near(state, peaks, core, self.reach_mm / REACH_SIGMAS)
        mask, allowed = core, state.brain & (away_mm <= self.reach_mm)
        for _ in range(ITERATIONS):
            around = self._around(state, mask)
            level = np.maximum(around + self.fraction * (peaks - around), self.min_level)
            mask = Components(allowed & (state.values > level)).holding(core)
        return mask, state.values - level

    def _around(self, state: SegmentationState, mask: Mask) -> Volume:
        """Return the mean brightness of the tissue near each voxel, without lesions and fluid."""
        lesions = dilation(mask, ball(self.gap_mm, state.spacing))
        tissue = state.brain & ~lesions & (state.values > self.tissue_above)
        return _mean_near(state, state.values, tissue, self.tissue_sigma_mm)


def half_maximum(  # noqa: PLR0913 - the options of a recipe's step
    state: SegmentationState,
    threshold: float,
    *,
    fraction: Share = 0.5,
    min_level: float = 1.5,
    peak_percentile: float = 85.0,
    reach_mm: Size = 6.0,
    tissue_sigma_mm: Size = 4.0,
    gap_mm: Size = 2.0,
    tissue_above: float = -2.0,
) -> SegmentationState:
    """Mark lesions above the threshold, as far as half-way down to the tissue around them.

    Args:
        state: the map, in standard deviations of the scan's brain.
        threshold: level that a lesion must exceed somewhere: its core.
        fraction: the level of the border, from the tissue (0) to the lesion's peak (1).
        min_level: lower bound of that level.
        peak_percentile: of the values of a connected core: the lesion's peak without noise.
        reach_mm: how far from its core a lesion may reach.
        tissue_sigma_mm: standard deviation of the Gaussian that weights the tissue around it.
        gap_mm: tissue closer to a lesion is mixed with it.
        tissue_above: what is darker is fluid.
    """
    core = (state.values > threshold) & state.brain
    border = _Border(
        fraction, min_level, peak_percentile, reach_mm, tissue_sigma_mm, gap_mm, tissue_above
    )
    margin_mm = reach_mm + TISSUE_SIGMAS * tissue_sigma_mm
    box = crop_around(core, tuple(int(margin_mm / side) + 1 for side in state.spacing))
    grown, margin = np.zeros_like(core), np.zeros_like(state.values)
    if core.any():
        part = replace(state, values=state.values[box], brain=state.brain[box], mask=None)
        grown[box], margin[box] = border.grow(part, core[box])
    return replace(state.with_mask(grown), margin=margin)


def _mean_near(state: SegmentationState, values: Volume, where: Mask, sigma_mm: float) -> Volume:
    """Return the mean of the values of ``where`` near each voxel, weighted by a Gaussian."""
    total, weight = (
        smooth(replace(state, values=amount.astype(np.float32)), sigma_mm=sigma_mm).values
        for amount in (np.where(where, values, 0), where)
    )
    mean: Volume = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return mean


def _peaks(values: Volume, core: Mask, percentile: float) -> Volume:
    """Return the percentile of each connected core in its voxels, 0 elsewhere."""
    labels, count = ndimage.label(core, TOUCHING)
    peaks = np.zeros(count + 1, np.float32)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        peaks[number] = np.percentile(values[box][labels[box] == number], percentile)
    return np.asarray(peaks[labels])
