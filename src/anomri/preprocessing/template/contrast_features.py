"""Three features of a brain's intensities that tell its contrast, from the scan alone.

After a rough affine registration to the MNI152 template:

* ``t1_correlation``: correlation with the T1 template over grey and white matter, after removing a
  quadratic trend from both and outliers (lesions). High where white matter is brighter than grey
  matter in every fold, as in T1.
* ``peak_width``: full width at half maximum of the histogram's main peak, relative to the distance
  from the darkest values to the peak. Small where grey and white matter are equally bright, as in
  FLAIR.
* ``ventricle_darkness``: white matter minus ventricles, relative to white matter minus the darkest
  values. Negative where the ventricles are brighter, as in T2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.preprocessing.percentiles import percentiles
from anomri.preprocessing.resampling import anti_alias_sigma, index_map, sample
from anomri.preprocessing.template.mni152 import load_template, template_grid
from anomri.preprocessing.template.tissues import tissue_map
from anomri.scan import Affine, Grid, Mask, Volume

SPACING_MM = 3.0
RIM_MM = 3.0  # of the template's brain, excluded because a rough registration misses it
VENTRICLE_DEPTH_MM = 20.0  # the ventricles lie deeper
MIN_VOXELS = 100  # of each tissue within the scanned brain
DARKEST = 2.0  # percentile
BINS = 200
HISTOGRAM_RANGE = (0.5, 99.5)  # percentiles
HISTOGRAM_SIGMA = 4.0  # bins
OUTLIER_SD = 2.5  # robust standard deviations
FITS = 3


@dataclass(frozen=True, slots=True)
class ContrastFeatures:
    """Features of one contrast, as defined in the module's docstring.

    Attributes:
        t1_correlation: -1 to 1.
        peak_width: relative full width at half maximum.
        ventricle_darkness: 1 where the ventricles are as dark as the darkest values, negative
            where they are brighter than white matter.
    """

    t1_correlation: float
    peak_width: float
    ventricle_darkness: float


@dataclass(frozen=True, slots=True)
class TemplateTissues:
    """Tissue masks of the template on a coarse grid.

    Attributes:
        grid: grid of all arrays.
        t1: (I, J, K), the template's intensities.
        white_matter: (I, J, K) bool, pure white matter.
        parenchyma: (I, J, K) bool, grey and white matter.
        ventricles: (I, J, K) bool.
        trend: (I, J, K, 10), the terms of a quadratic polynomial.
    """

    grid: Grid
    t1: Volume
    white_matter: Mask
    parenchyma: Mask
    ventricles: Mask
    trend: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScannedTissues:
    """Where a scan shows the template's tissues; the same for all of its contrasts.

    Attributes:
        brain: (I, J, K) bool, on the scan's grid.
        points: (3, N) voxel index of the tissues on the template's coarse grid.
        white_matter: (N,) bool, which of the points it holds.
        parenchyma: (N,) bool, grey and white matter.
        ventricles: (N,) bool, of the brain.
        trend: (P, 10), the terms of a quadratic polynomial in the parenchyma.
        t1_residuals: (P,), the template's intensities in the parenchyma without their trend.
    """

    brain: Mask
    points: NDArray[np.float64]
    white_matter: NDArray[np.bool_]
    parenchyma: NDArray[np.bool_]
    ventricles: NDArray[np.bool_]
    trend: NDArray[np.float32]
    t1_residuals: NDArray[np.floating]

    @classmethod
    def of(cls, brain: Mask, grid: Grid, matrix: Affine) -> ScannedTissues | None:
        """Find the tissues; None where too little of the brain was scanned.

        Args:
            brain: (I, J, K) bool.
            grid: grid of the brain.
            matrix: (4, 4) template mm to world mm of the scan.
        """
        tissues = template_tissues()
        target = Grid(shape=tissues.grid.shape, affine=matrix @ tissues.grid.affine)
        index = index_map(grid, target)
        eroded = ndimage.binary_erosion(brain).astype(np.uint8)
        scanned = sample(eroded, index, target.shape, linear=False) > 0
        masks = (tissues.white_matter, tissues.parenchyma, tissues.ventricles)
        white, parenchyma, ventricles = (mask & scanned for mask in masks)
        if min(map(np.count_nonzero, (white, parenchyma, ventricles))) < MIN_VOXELS:
            return None
        trend = tissues.trend[parenchyma]
        residuals, _ = _detrend(tissues.t1[parenchyma], trend)
        used = white | parenchyma | ventricles
        points = index[:3, :3] @ np.argwhere(used).T + index[:3, 3:]
        kept = white[used], parenchyma[used], ventricles[used]
        return cls(brain, points, *kept, trend, residuals)


def contrast_features(volume: Volume, tissues: ScannedTissues) -> ContrastFeatures:
    """Measure the features of one contrast.

    Args:
        volume: (I, J, K), in any unit.
        tissues: of the scan.
    """
    inside = volume[tissues.brain]
    stripped = np.where(tissues.brain, volume, 0)
    values = ndimage.map_coordinates(stripped, tissues.points, order=1, mode="grid-constant")
    white_level = float(np.median(values[tissues.white_matter]))
    above_ventricles = white_level - float(np.median(values[tissues.ventricles]))
    levels = percentiles(inside, (*HISTOGRAM_RANGE, 25, DARKEST))
    return ContrastFeatures(
        t1_correlation=_t1_correlation(values[tissues.parenchyma], tissues),
        peak_width=_peak_width(inside, levels),
        ventricle_darkness=above_ventricles / max(white_level - float(levels[3]), 1e-9),
    )


def main_peak_width(values: NDArray[np.float32]) -> float:
    """Return the relative full width at half maximum of the histogram's main peak.

    The main peak is the highest one above the 25th percentile. The width is relative to the
    distance between the darkest values and the peak.

    Args:
        values: (N,) inside the brain.
    """
    return _peak_width(values, percentiles(values, (*HISTOGRAM_RANGE, 25, DARKEST)))


def _peak_width(values: NDArray[np.float32], levels: NDArray[np.floating]) -> float:
    """Return the width of the main peak.

    Args:
        values: (N,) inside the brain.
        levels: the histogram's range, the 25th percentile and the darkest level.
    """
    low, high, quarter, darkest = levels
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    heights = ndimage.gaussian_filter1d(counts.astype(np.float64), HISTOGRAM_SIGMA)
    centres = (edges[1:] + edges[:-1]) / 2
    start = int(np.searchsorted(centres, quarter))
    peak = start + int(np.argmax(heights[start:]))
    below = np.flatnonzero(heights <= heights[peak] / 2)
    left = centres[below[below < peak].max(initial=0)]
    right = centres[below[below > peak].min(initial=BINS - 1)]
    return float((right - left) / max(centres[peak] - float(darkest), 1e-9))


@cache
def template_tissues() -> TemplateTissues:
    """Return the template's tissue masks on a coarse grid.

    Raises:
        MissingPiece: the installed nilearn does not include the maps.
    """
    values, _ = load_template()
    grid = template_grid(SPACING_MM)
    grey, white = (
        _resample_template(tissue_map(tissue).astype(np.float32) / np.float32(255), grid)
        for tissue in ("gm", "wm")
    )
    brain = _resample_template((values > 0).astype(np.float32), grid) > 0.5
    depth_mm = ndimage.distance_transform_edt(brain) * SPACING_MM
    return TemplateTissues(
        grid=grid,
        t1=_resample_template(values, grid),
        white_matter=ndimage.binary_erosion(white > 0.85),
        parenchyma=(grey + white > 0.95) & (depth_mm > RIM_MM),
        ventricles=(grey + white < 0.25) & (depth_mm > VENTRICLE_DEPTH_MM),
        trend=_quadratic_terms(grid.shape),
    )


def _resample_template(volume: Volume, grid: Grid) -> Volume:
    smooth = ndimage.gaussian_filter(volume, anti_alias_sigma(SPACING_MM))
    _, own_grid = load_template()
    resampled: Volume = sample(smooth, index_map(own_grid, grid), grid.shape, linear=True)
    return resampled


def _quadratic_terms(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    terms = [np.ones(shape), i, j, k, i * i, j * j, k * k, i * j, i * k, j * k]
    return np.stack(terms, axis=-1).astype(np.float32)


def _t1_correlation(values: NDArray[np.float32], tissues: ScannedTissues) -> float:
    """Correlate with the T1 template after detrending, without the outliers of ``values``."""
    residuals, inliers = _detrend(values, tissues.trend)
    return float(np.corrcoef(residuals[inliers], tissues.t1_residuals[inliers])[0, 1])


def _detrend(
    values: NDArray[np.float32], trend: NDArray[np.float32]
) -> tuple[NDArray[np.floating], Mask]:
    """Return the (N,) residuals of a robust polynomial fit, and which values are inliers."""
    inliers = np.ones(values.size, dtype=bool)
    residuals: NDArray[np.floating] = values
    for _ in range(FITS):
        weights = np.linalg.lstsq(trend[inliers], values[inliers], rcond=None)[0]
        residuals = values - trend @ weights
        low, median, high = percentiles(residuals[inliers], [25, 50, 75])
        spread = max((high - low) / 1.349, 1e-9)
        inliers = np.abs(residuals - median) < OUTLIER_SD * spread
    return residuals, inliers
