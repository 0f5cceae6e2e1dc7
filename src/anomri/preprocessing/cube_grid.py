"""A prepared scan on coarser or finer cubes, and values on them back on the scan's own voxels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anomri.preprocessing.grids import brain_box, working_grid
from anomri.preprocessing.resampling import index_map, sample
from anomri.preprocessing.working_frame import Frame
from anomri.recipe import Preparation
from anomri.scan import Grid, Image, Scan


def at_spacing(scan: Scan, spacing_mm: float) -> Scan:
    """Return a scan on cubes of ``spacing_mm``, around its brain and from brain voxels only.

    It has no truth. Along an axis with thicker slices values are interpolated: a network that was
    taught on cubes needs them, and its answer goes back with :func:`onto`.
    """
    cubes = Preparation(spacing_mm=(spacing_mm,) * 3, thick_slices="resample")
    grid = working_grid(scan.grid, brain_box(scan.brain), cubes)
    frame = Frame.around(scan.brain, scan.grid, grid)
    brain = frame.mask(scan.brain)
    image = np.stack([frame.image(volume, scan.brain) for volume in scan.image])
    return replace(scan, image=image * brain, brain=brain, grid=grid, truth=None)


def onto(values: Image, source: Grid, target: Grid) -> Image:
    """Return (C, I, J, K) values of one grid on another of the same axes, linearly."""
    matrix = index_map(source, target)
    return np.stack([sample(volume, matrix, target.shape, linear=True) for volume in values])
