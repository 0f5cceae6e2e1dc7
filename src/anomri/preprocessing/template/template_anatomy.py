"""Ventricles, cortex, brain stem and cerebellum of the MNI152 template, by own rules.

They come from the tissue maps that nilearn ships with the template, without an atlas:

* The tentorium is a valley of tissue between cerebrum and cerebellum. A watershed of the tissue,
  from points that lie well inside either, follows it. No such valley separates the midbrain from
  the thalamus: there the border is horizontal, 8 mm below the commissures.
* The lateral and third ventricles are the largest fluid space deep in the cerebrum, without the
  cisterns behind and below the third ventricle.
* The cortex is grey matter of the cerebrum other than the deep nuclei.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.resampling import Shape, anti_alias_sigma, index_map, sample
from anomri.preprocessing.template.mni152 import load_template, template_grid
from anomri.preprocessing.template.tissues import FULL, tissue_map
from anomri.scan import Affine, Anatomy, Grid, Mask, Volume

SPACING_MM = 2.0
FLUID = 0.5  # fraction of a voxel
VENTRICLE_DEPTH_MM = 16.0
SMOOTHING = 0.7  # voxels, of the tissue before the watershed
BELOW, ABOVE = 1, 2  # the tentorium

# Centres in template mm, of the right half, and radii of balls inside cerebellum and brain stem.
BELOW_BALLS = (
    *((25, -65, -38, 8), (40, -60, -42, 5), (0, -62, -22, 5), (10, -50, -14, 3)),
    *((0, -28, -35, 7), (0, -40, -52, 5), (0, -24, -20, 4), (20, -45, -50, 5)),
)
# Likewise inside the cerebrum, nearly as low as the tentorium.
ABOVE_BALLS = (
    *((50, -20, -25, 8), (35, 0, -35, 8), (25, -30, -12, 3), (35, -45, -12, 4), (30, -75, 0, 8)),
    *((15, -90, 2, 6), (30, -90, -8, 4), (45, -65, -8, 5), (12, -20, 8, 8), (10, -70, 10, 8)),
    *((10, -50, 8, 4), (30, 0, 30, 25), (20, 20, -20, 5), (28, -20, -22, 3), (22, -8, -18, 4)),
    *((20, -28, -6, 3), (20, 0, -12, 5), (0, 0, -10, 4)),
)
CEREBRUM_ABOVE_MM = 12.0  # everything higher
# Bounds of x, y and z of the midbrain just below its border with the thalamus, and just above.
MIDBRAIN = ((0, 12), (-34, -12), (-12, -9))
THALAMUS = ((0, 16), (-34, -8), (-7, -4))
# Bounds of x, y and z of cisterns that are deep in the brain too.
CISTERNS = (((0, 14), (-150, -26), (-80, 13)), ((0, 20), (-150, 150), (-80, -2)))
LOWEST_VENTRICLE_MM = -14.0
DEEP_NUCLEI = ((0, 34), (-40, 28), (-14, 24))
DEEP_NUCLEI_DEPTH_MM = 25.0

# Of the ventricles. No rule asks for distances of more than 15 mm, and where the map is constant
# nothing is interpolated; corners of one voxel of the template differ by 3.5 mm at most.
FARTHEST_MM = np.float32(20)

Bounds = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class _TemplateAnatomy:
    grid: Grid
    ventricle_mm: Volume
    depth_mm: Volume
    cortex: Mask
    infratentorial: Volume
    grey: Volume
    white: Volume


def anatomy_on(grid: Grid, to_template: Affine | None) -> Anatomy | None:
    """Return the template's anatomy on the grid of a scan.

    Args:
        grid: of the scan.
        to_template: (4, 4) world mm of the scan to template mm; None for an unregistered scan,
            for which None is returned.

    Raises:
        MissingPiece: the installed nilearn does not include the template.
    """
    if to_template is None:
        return None
    template = template_anatomy()
    on_scan = _sampler(template, grid, to_template)

    def cortex_mm() -> Volume:
        values = _distance_mm(template.cortex)
        far = np.float32(values.max())  # outside the template's grid too
        return far + on_scan(values - far)

    return Anatomy(
        ventricle_mm=FARTHEST_MM + on_scan(template.ventricle_mm - FARTHEST_MM),
        depth_mm=on_scan(template.depth_mm * (template.ventricle_mm < FARTHEST_MM)),
        make_cortex_mm=cortex_mm,
        infratentorial=on_scan(template.infratentorial) > 0.5,
    )


def tissues_on(grid: Grid, to_template: Affine | None) -> tuple[Volume, Volume] | None:
    """Return the template's probabilities of grey and white matter, (I, J, K) on a scan's grid.

    Args:
        grid: of the scan.
        to_template: as for :func:`anatomy_on`.

    Raises:
        MissingPiece: the installed nilearn does not include the template.
    """
    if to_template is None:
        return None
    template = template_anatomy()
    on_scan = _sampler(template, grid, to_template)
    return on_scan(template.grey), on_scan(template.white)


def _sampler(
    template: _TemplateAnatomy, grid: Grid, to_template: Affine
) -> Callable[[Volume], Volume]:
    """Return what resamples a volume of the template to the grid of a scan."""
    matrix = index_map(template.grid, Grid(shape=grid.shape, affine=to_template @ grid.affine))
    return partial(_sample_filled, matrix=matrix, shape=grid.shape)


def _sample_filled(volume: Volume, matrix: Affine, shape: Shape) -> Volume:
    """Resample linearly, only where the result is not 0: most of it is."""
    filled = np.array([(side.start - 1, side.stop) for side in brain_box(volume != 0)])
    ends = np.array(list(product(*filled, [1]))) @ np.linalg.inv(matrix).T
    low = np.clip(np.floor(ends.min(axis=0)[:3]).astype(int), 0, shape)
    high = np.clip(np.ceil(ends.max(axis=0)[:3]).astype(int) + 1, low, shape)
    shift = np.eye(4)
    shift[:3, 3] = low
    result = np.zeros(shape, np.float32)
    i, j, k = (int(n) for n in high - low)
    box = tuple(map(slice, low, high))
    result[box] = sample(volume, matrix @ shift, (i, j, k), linear=True)
    return result


@cache
def template_anatomy() -> _TemplateAnatomy:
    """Return the anatomy on the template's own coarse grid; made once in each process."""
    grid = template_grid(SPACING_MM)
    values, _ = load_template()
    full = np.float32(FULL)
    grey, white = (_coarse(tissue_map(n).astype(np.float32) / full) for n in ("gm", "wm"))
    brain = _coarse((values > 0).astype(np.float32)) > 0.5
    depth_mm = _distance_mm(~brain)
    below = _infratentorial(grey + white, brain, grid)
    ventricles = _ventricles(brain * (1 - grey - white) > FLUID, below, depth_mm, grid)
    nuclei = _inside(DEEP_NUCLEI, grid) & (depth_mm > DEEP_NUCLEI_DEPTH_MM)
    cortex = (grey > 0.5) & ~below & ~nuclei
    ventricle_mm = np.minimum(_distance_mm(ventricles), FARTHEST_MM)
    below_share = below.astype(np.float32)
    return _TemplateAnatomy(grid, ventricle_mm, depth_mm, cortex, below_share, grey, white)


def _infratentorial(tissue: Volume, brain: Mask, grid: Grid) -> Mask:
    markers = np.zeros(grid.shape, np.int32)
    points = _points(grid)
    for label, balls in ((BELOW, BELOW_BALLS), (ABOVE, ABOVE_BALLS)):
        for *centre, radius in balls:
            squared = sum((axis - mm) ** 2 for axis, mm in zip(points, centre, strict=True))
            markers[squared <= radius**2] = label
    markers[:, :, points[2].ravel() > CEREBRUM_ABOVE_MM] = ABOVE
    markers[_inside(THALAMUS, grid)] = ABOVE
    markers[_inside(MIDBRAIN, grid)] = BELOW
    relief = -ndimage.gaussian_filter(tissue, SMOOTHING)
    return np.asarray(watershed(relief, markers, mask=brain) == BELOW)


def _ventricles(fluid: Mask, below: Mask, depth_mm: Volume, grid: Grid) -> Mask:
    deep = fluid & ~below & (depth_mm > VENTRICLE_DEPTH_MM)
    deep &= _points(grid)[2] > LOWEST_VENTRICLE_MM
    for bounds in CISTERNS:
        deep &= ~_inside(bounds, grid)
    components, _ = ndimage.label(deep)
    return np.asarray(components == np.bincount(components[components > 0]).argmax())


def _coarse(volume: Volume) -> Volume:
    """Smooth the template's grid of 1 mm; each axis keeps every second voxel before the next."""
    sigma, every = anti_alias_sigma(SPACING_MM), slice(None, None, int(SPACING_MM))
    for axis in range(3):
        smooth = ndimage.gaussian_filter1d(volume, sigma, axis=axis)
        volume = np.moveaxis(np.moveaxis(smooth, axis, 0)[every], 0, axis)
    return volume


def _distance_mm(mask: Mask) -> Volume:
    return ndimage.distance_transform_edt(~mask, sampling=SPACING_MM).astype(np.float32)


def _points(grid: Grid) -> list[NDArray[np.float64]]:
    """Return |x|, y and z in mm, which can be broadcast against each other."""
    axes = np.ogrid[tuple(slice(n) for n in grid.shape)]
    x, y, z = (axis * grid.affine[n, n] + grid.affine[n, 3] for n, axis in enumerate(axes))
    return [np.abs(x), y, z]


def _inside(bounds: Bounds, grid: Grid) -> Mask:
    inside = np.ones(grid.shape, bool)
    for axis, (low, high) in zip(_points(grid), bounds, strict=True):
        inside &= (axis >= low) & (axis < high)
    return inside
