"""Region competition: a mass grows as far as voxels resemble it more than the brain around it.

One level of brightness for the whole brain stops short of edema that is hardly brighter than
cortex. Here the mask and a ring of brain around it are described by the intensities of all
contrasts, and the voxels next to the mask go to the one that they resemble more. After Zhu and
Yuille 1996, with a linear discriminant in place of their densities, and with growth only: what the
mask held at the start is never given up.

A mask that holds hardly more than the core of a tumour says nothing of the edema, which is less
bright: what lies next to the core then stands for the mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anomri.postprocessing.components import Components
from anomri.postprocessing.discriminant import LinearDiscriminant
from anomri.postprocessing.morphology import (
    HEADER_NOISE_MM,
    closing,
    crop_around,
    dilate,
    dilation,
    fill_holes,
    opening,
)
from anomri.postprocessing.state import SegmentationState
from anomri.scan import Image, Mask, Volume

SMOOTHING_MM = 1.5  # of the log odds
LARGEST_LOG_ODDS = 20.0  # keeps single voxels from deciding for their neighbours
OPENING_MM, CLOSING_MM = 2.0, 3.0  # of the grown mask
LATTICE_MM = 3.0  # the discriminant is fitted to voxels about this far apart
FEWEST_VOXELS = 20  # a discriminant of fewer means nothing
EDEMA_MM = 6.0  # edema is expected this far around a core
CORE_MARGIN_MM = 2.0  # partial volume with the core
LEAST_EDEMA = 0.2  # a smaller part of the mask outside the core is no sample of the edema
SMALLEST_GROWTH = 0.002  # an iteration that adds a smaller part of the mask is the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionCompetition:
    """How a mask grows.

    Attributes:
        iterations: largest number of discriminants that are fitted.
        step_mm: how far the mask grows in one iteration at most.
        ring_mm: smallest and largest distance of the ring from the mask.
        penalty_per_mm: subtracted from the log odds for each mm from the mask at the start.
    """

    iterations: int
    step_mm: float
    ring_mm: tuple[float, float]
    penalty_per_mm: float

    def grow(
        self,
        start: SegmentationState,
        features: Image,
        brain: Mask,
        allowed: Mask,
        core: Mask | None = None,
        certain: Mask | None = None,
    ) -> Mask:
        """Return the grown mask, which holds that of the start.

        Args:
            start: the mask, on the whole brain.
            features: (F, I, J, K) intensities, in similar units; constant where a contrast is
                missing.
            brain: (I, J, K) where the intensities count.
            allowed: (I, J, K) the part of it that may be added.
            core: (I, J, K) core of the tumour, if it is known.
            certain: (I, J, K) what joins the mask when it comes near, whatever it resembles.
        """
        field = _Field(features, brain, start.spacing)
        element, mask = _neighbourhood(self.step_mm, start.spacing), start.lesion.copy()
        box = crop_around(mask, self._reach(element, start.spacing))
        within, inside = _Field(features[:, *box], brain[box], start.spacing), mask[box]  # a view
        away = _Distances(inside.copy(), start.spacing, ahead=element.shape)
        edema = None if core is None else _Edema.around(core, start, allowed)
        for _ in range(self.iterations):
            sample = mask if edema is None else edema.sample(mask)
            discriminant = field.discriminant(sample, mask, self.ring_mm)
            if discriminant is None:
                break
            reached, before = dilation(inside, element), np.count_nonzero(inside)
            near = reached & allowed[box]
            if certain is not None:
                inside |= reached & certain[box]
            inside |= within.resembling(discriminant, near, away, self.penalty_per_mm)
            after = np.count_nonzero(inside)
            if after - before <= SMALLEST_GROWTH * after:
                break
        return _tidied(start, mask)

    def _reach(self, element: Mask, spacing: tuple[float, float, float]) -> tuple[int, ...]:
        """Return how many voxels along each axis the growth and its smoothing reach at most."""
        reach = (self.iterations * (side // 2) for side in element.shape)
        return tuple(n + margin for n, margin in zip(reach, _margin(spacing), strict=True))


@dataclass(frozen=True, slots=True)
class _Edema:
    """What stands for the edema around a core.

    Attributes:
        shell: (I, J, K) around the core.
        core: (I, J, K) the core and its margin.
    """

    shell: Mask
    core: Mask

    @classmethod
    def around(cls, core: Mask, start: SegmentationState, allowed: Mask) -> _Edema | None:
        """Return the edema around a core; None if there is no core, or edema in the mask."""
        wide = dilate(start.with_mask(core), mm=CORE_MARGIN_MM).lesion
        mask = start.lesion
        if not core.any() or np.sum(mask & ~wide) >= LEAST_EDEMA * np.sum(mask):
            return None
        shell = dilate(start.with_mask(core), mm=EDEMA_MM).lesion & ~wide & allowed
        return cls(shell, wide)

    def sample(self, mask: Mask) -> Mask:
        """Return the shell and the mask as far as it has grown, without the core."""
        sample: Mask = (mask | self.shell) & ~self.core
        return sample


class _Distances:
    """Distances from a mask, measured only as far out as growth has come: it often ends early.

    Args:
        mask: (I, J, K) of the start.
        spacing: mm along I, J, K.
        ahead: voxels that are measured beyond each box that is asked for.
    """

    def __init__(
        self, mask: Mask, spacing: tuple[float, float, float], ahead: tuple[int, ...]
    ) -> None:
        self._mask, self._spacing, self._ahead = mask, spacing, ahead
        self._box: tuple[slice, ...] = (slice(0, 0),) * mask.ndim
        self._mm: Volume = np.zeros((0,) * mask.ndim, np.float32)

    def within(self, box: tuple[slice, ...]) -> Volume:
        """Return the distance in mm of each voxel of a box."""
        if any(b.start < s.start or b.stop > s.stop for b, s in zip(box, self._box, strict=True)):
            self._measure(box)
        starts = [side.start for side in self._box]
        inner = (slice(b.start - n, b.stop - n) for b, n in zip(box, starts, strict=True))
        return self._mm[tuple(inner)]

    def _measure(self, box: tuple[slice, ...]) -> None:
        """Measure a wider box, which holds the whole mask: any voxel of it may be the nearest."""
        wanted = np.zeros_like(self._mask)
        wanted[box] = True
        self._box = crop_around(wanted | self._mask, self._ahead)
        away = ndimage.distance_transform_edt(~self._mask[self._box], sampling=self._spacing)
        self._mm = away.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Field:
    """Intensities of all contrasts.

    Attributes:
        features: (F, I, J, K).
        brain: (I, J, K) where they count.
        spacing: mm along I, J, K.
    """

    features: Image
    brain: Mask
    spacing: tuple[float, float, float]

    def discriminant(
        self, sample: Mask, mask: Mask, ring_mm: tuple[float, float]
    ) -> LinearDiscriminant | None:
        """Fit a sample against the ring around a mask; None where one of them is too small.

        Both are taken on a lattice.
        """
        steps = [max(1, round(LATTICE_MM / side)) for side in self.spacing]
        lattice = tuple(slice(None, None, step) for step in steps)
        sides = [step * side for step, side in zip(steps, self.spacing, strict=True)]
        nearest, farthest = ring_mm
        margin = tuple(int((farthest + EDEMA_MM) / side) + 1 for side in sides)
        box = crop_around(mask[lattice], margin)  # holds the ring, and the sample around a core
        away = ndimage.distance_transform_edt(~mask[lattice][box], sampling=sides)
        brain, features = self.brain[lattice][box], self.features[:, *lattice][:, *box]
        parts = sample[lattice][box] & brain, (away >= nearest) & (away <= farthest) & brain
        if min(map(np.count_nonzero, parts)) < FEWEST_VOXELS:
            return None
        inside, ring = (features[:, part].T.astype(np.float64) for part in parts)
        return LinearDiscriminant.between(inside, ring)

    def resembling(
        self, discriminant: LinearDiscriminant, near: Mask, away: _Distances, penalty_per_mm: float
    ) -> Mask:
        """Return the voxels of ``near`` whose smoothed log odds are above 0."""
        taken = np.zeros_like(near)
        box = crop_around(near, _margin(self.spacing))
        odds = discriminant.log_odds(self.features[:, *box])
        np.clip(odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS, out=odds)
        odds -= penalty_per_mm * away.within(box)
        odds *= self.brain[box]  # voxels outside it say nothing
        sigma = [SMOOTHING_MM / side for side in self.spacing]
        taken[box] = near[box] & (ndimage.gaussian_filter(odds, sigma, truncate=3) > 0)
        return taken


def _margin(spacing: tuple[float, float, float]) -> tuple[int, ...]:
    """Return how many voxels along each axis the smoothing of the log odds reaches."""
    return tuple(int(3 * SMOOTHING_MM / side) for side in spacing)


def _neighbourhood(step_mm: float, spacing: tuple[float, float, float]) -> Mask:
    """Return a ball as a structuring element, drawn out to the next slice where slices are thick.

    >>> _neighbourhood(4, (2.0, 2.0001, 6.0)).shape
    (5, 5, 3)
    """
    limit = step_mm + HEADER_NOISE_MM
    reach = [int(limit / side) or 1 for side in spacing]
    axes = [
        np.arange(-n, n + 1) * side / max(limit, side)
        for n, side in zip(reach, spacing, strict=True)
    ]
    squares = np.meshgrid(*(axis**2 for axis in axes), indexing="ij")
    return np.asarray(sum(squares) <= 1)


def _tidied(start: SegmentationState, mask: Mask) -> Mask:
    """Remove what is thin or does not touch the start; fill gaps, and holes slice by slice."""
    opened = opening(start.with_mask(mask), mm=OPENING_MM)
    connected = Components(opened.lesion).holding(start.lesion)
    grown = start.with_mask(connected | start.lesion)
    return fill_holes(closing(grown, mm=CLOSING_MM)).lesion
