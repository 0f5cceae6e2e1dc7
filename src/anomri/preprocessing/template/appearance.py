"""How a brain looks in one contrast, in three numbers that need no other scan.

The scan lies on the MNI152 template, roughly and affinely. Then:

* ``likeness``: correlation with the T1 template over its grey and white matter, after a quadratic
  drift was taken from both and outliers (lesions) were left out. White above grey, fold for fold,
  makes it high: T1.
* ``width``: full width at half the height of the histogram's main peak, over the distance from
  the darkest values to the peak. Grey and white matter of one brightness make it small: FLAIR.
* ``ventricles``: how far white matter is above the ventricles, over how far it is above the
  darkest values. Below 0 the ventricles are brighter: T2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.preprocessing.resampling import index_map, sample
from anomri.preprocessing.template.placement import template, template_grid
from anomri.preprocessing.template.tissues import tissue_map
from anomri.scan import Affine, Grid, Mask, Volume

SIDE_MM = 3.0
RIM_MM = 3.0  # of the template's brain, which no rough registration hits
DEEP_MM = 20.0  # the ventricles lie deeper
FEWEST = 100  # voxels of each tissue that must have been seen
DARKEST = 2.0  # percentile
BINS = 200
SPAN = (0.5, 99.5)  # percentiles that the histogram spans
BLUR = 4.0  # bins
OUTLIERS = 2.5  # robust standard deviations that a fit leaves out
FITS = 3


@dataclass(frozen=True, slots=True)
class Appearance:
    """See the module's description.

    Attributes:
        likeness: of -1 to 1, to the T1 template.
        width: of the main peak.
        ventricles: 1 where they are as dark as the darkest, below 0 where brighter than white.
    """

    likeness: float
    width: float
    ventricles: float


@dataclass(frozen=True, slots=True)
class Tissues:
    """The template's tissues.

    Attributes:
        grid: where they lie.
        t1: (I, J, K), the template itself.
        white: (I, J, K) bool, pure white matter.
        matter: (I, J, K) bool, grey and white matter.
        ventricles: (I, J, K) bool.
        drift: (I, J, K, 10), the terms of a quadratic polynomial.
    """

    grid: Grid
    t1: Volume
    white: Mask
    matter: Mask
    ventricles: Mask
    drift: NDArray[np.float32]


def appearance(volume: Volume, brain: Mask, grid: Grid, matrix: Affine) -> Appearance | None:
    """Return how a contrast looks; None where too little of the brain was seen.

    Args:
        volume: (I, J, K), in any unit.
        brain: (I, J, K).
        grid: where they lie.
        matrix: (4, 4) template mm to world mm of the scan.
    """
    tissues = tissues_of_template()
    target = Grid(shape=tissues.grid.shape, affine=matrix @ tissues.grid.affine)
    index = index_map(grid, target)
    inner = ndimage.binary_erosion(brain).astype(np.uint8)
    seen = sample(inner, index, target.shape, linear=False) > 0
    parts = [part & seen for part in (tissues.white, tissues.matter, tissues.ventricles)]
    if min(np.count_nonzero(part) for part in parts) < FEWEST:
        return None
    values = sample(np.where(brain, volume, 0), index, target.shape, linear=True)
    white, matter, ventricles = parts
    inside = volume[brain]
    darkest, bright = float(np.percentile(inside, DARKEST)), float(np.median(values[white]))
    depth = bright - float(np.median(values[ventricles]))
    return Appearance(
        likeness=_likeness(values[matter], tissues.t1[matter], tissues.drift[matter]),
        width=width_of_peak(inside),
        ventricles=depth / max(bright - darkest, 1e-9),
    )


def width_of_peak(values: NDArray[np.float32]) -> float:
    """Return the full width at half height of the main peak, over its height above the darkest.

    The main peak is the highest of the histogram above the first quarter of the values.
    """
    low, high = np.percentile(values, SPAN)
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    heights = ndimage.gaussian_filter1d(counts.astype(np.float64), BLUR)
    centres = (edges[1:] + edges[:-1]) / 2
    start = int(np.searchsorted(centres, np.percentile(values, 25)))
    peak = start + int(np.argmax(heights[start:]))
    below = np.flatnonzero(heights <= heights[peak] / 2)
    left = centres[below[below < peak].max(initial=0)]
    right = centres[below[below > peak].min(initial=BINS - 1)]
    darkest = float(np.percentile(values, DARKEST))
    return float((right - left) / max(centres[peak] - darkest, 1e-9))


@cache
def tissues_of_template() -> Tissues:
    """Return the template's tissues on a coarse grid.

    Raises:
        MissingPiece: the installed nilearn does not carry the maps.
    """
    values, _ = template()
    grid = template_grid(SIDE_MM)
    grey, white = (
        _coarser(tissue_map(word).astype(np.float32) / np.float32(255), grid)
        for word in ("_gm_", "_wm_")
    )
    brain = _coarser((values > 0).astype(np.float32), grid) > 0.5
    depth_mm = ndimage.distance_transform_edt(brain) * SIDE_MM
    return Tissues(
        grid=grid,
        t1=_coarser(values, grid),
        white=ndimage.binary_erosion(white > 0.85),
        matter=(grey + white > 0.95) & (depth_mm > RIM_MM),
        ventricles=(grey + white < 0.25) & (depth_mm > DEEP_MM),
        drift=_quadratic(grid.shape),
    )


def _coarser(volume: Volume, grid: Grid) -> Volume:
    smooth = ndimage.gaussian_filter(volume, np.sqrt(SIDE_MM**2 - 1) / 2.355)
    placed: Volume = sample(smooth, index_map(template()[1], grid), grid.shape, linear=True)
    return placed


def _quadratic(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    terms = [np.ones(shape), i, j, k, i * i, j * j, k * k, i * j, i * k, j * k]
    return np.stack(terms, axis=-1).astype(np.float32)


def _likeness(
    values: NDArray[np.float32], t1: NDArray[np.float32], drift: NDArray[np.float32]
) -> float:
    """Correlate what is left of both after a drift was taken off, without outliers of the first."""
    left, kept = _without_drift(values, drift)
    right, _ = _without_drift(t1, drift)
    return float(np.corrcoef(left[kept], right[kept])[0, 1])


def _without_drift(
    values: NDArray[np.float32], drift: NDArray[np.float32]
) -> tuple[NDArray[np.floating], Mask]:
    """Return the residuals of a fit that leaves outliers out, and what is none."""
    kept = np.ones(values.size, dtype=bool)
    residuals: NDArray[np.floating] = values
    for _ in range(FITS):
        weights = np.linalg.lstsq(drift[kept], values[kept], rcond=None)[0]
        residuals = values - drift @ weights
        low, middle, high = np.percentile(residuals[kept], [25, 50, 75])
        spread = max((high - low) / 1.349, 1e-9)
        kept = np.abs(residuals - middle) < OUTLIERS * spread
    return residuals, kept
