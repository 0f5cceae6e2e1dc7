"""Working grids: RAS+ orientation, cropped to the brain, with the recipe's voxel size."""

from __future__ import annotations

from typing import TypeVar

import nibabel as nib
import numpy as np
from nibabel.orientations import inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from anomri.preprocessing.resampling import Shape
from anomri.recipe import Preparation
from anomri.scan import Grid, Mask

Kind = TypeVar("Kind", bound=np.generic)

MARGIN = 4  # voxels of the working grid around the brain where the recipe fixes no shape
THICK_MM = 3.0  # slices of this thickness and more are not interpolated to thinner ones
SAME_SPACING = 1e-3  # relative difference below which two spacings count as equal


def grid_to_ras(native: Grid) -> Grid:
    """Return the closest RAS+ grid by permuting and flipping axes.

    No voxel moves: the affine absorbs the permutations and flips.
    """
    orientation = io_orientation(native.affine)
    affine = native.affine @ inv_ornt_aff(orientation, native.shape)
    shape = [0, 0, 0]
    for axis, target in enumerate(orientation[:, 0].astype(int)):
        shape[target] = native.shape[axis]
    return Grid(shape=(shape[0], shape[1], shape[2]), affine=affine)


def volume_to_ras(volume: NDArray[Kind], native: Grid) -> NDArray[Kind]:
    """Return a view of ``volume`` with RAS+ axes.

    Args:
        volume: (I, J, K) in file order.
        native: its grid.
    """
    ras: NDArray[Kind] = nib.apply_orientation(volume, io_orientation(native.affine))
    return ras


def rescale_grid(grid: Grid, scale: tuple[float, float, float]) -> Grid:
    """Return a grid whose world coordinates are multiplied by factors.

    Args:
        grid: grid of any orientation.
        scale: factors along right, anterior and superior.
    """
    affine = np.diag([*scale, 1.0]) @ grid.affine
    return Grid(shape=grid.shape, affine=affine, sform_code=grid.sform_code)


def brain_box(brain: Mask, margin: int = 0) -> tuple[slice, slice, slice]:
    """Return the bounding box of the brain, ``margin`` voxels wider, clipped to the grid."""
    box = [slice(0, side) for side in brain.shape]
    # Slices that are contiguous in memory first; then only what lies between them is read.
    for axis in sorted(range(3), key=lambda axis: -abs(brain.strides[axis])):
        other_axes = tuple(a for a in range(3) if a != axis)
        occupied = np.flatnonzero(brain[tuple(box)].any(axis=other_axes))
        box[axis] = slice(int(occupied[0]), int(occupied[-1]) + 1)
    i, j, k = (
        slice(max(side.start - margin, 0), min(side.stop + margin, count))
        for side, count in zip(box, brain.shape, strict=True)
    )
    return i, j, k


def working_grid(oriented: Grid, box: tuple[slice, ...], preparation: Preparation) -> Grid:
    """Return the working grid that a recipe specifies, centred on the brain.

    Along an axis with own spacing d and target spacing t, where the brain spans voxels a to b: the
    step is s = t/d voxels, and the length is the recipe's, or (b - a + 1)/s rounded up plus a
    margin of four on both sides. A step of one voxel starts on a voxel, so that nothing is
    interpolated. Slices of 3 mm and more keep their spacing where the recipe fixes no number of
    slices, unless it resamples thick slices.

    Args:
        oriented: RAS+ grid of the native voxels.
        box: bounding box of the brain on it.
        preparation: spacing and shape per axis.
    """
    steps, starts, shape = np.ones(3), np.zeros(3), [0, 0, 0]
    for axis, own in enumerate(oriented.spacing):
        target = preparation.spacing_mm[axis]
        steps[axis] = 1 if _keeps_thick_slices(preparation, axis, own) else _step(target, own)
        first, end = box[axis].start, box[axis].stop
        minimum = int(np.ceil((end - first) / steps[axis])) + 2 * MARGIN
        shape[axis] = preparation.shape[axis] or minimum
        start = (first + end - 1) / 2 - steps[axis] * (shape[axis] - 1) / 2
        starts[axis] = np.floor(start) if steps[axis] == 1 else start
    local = np.diag([*steps, 1.0])
    local[:3, 3] = starts
    return Grid(shape=_triple(shape), affine=oriented.affine @ local)


def template_working_grid(
    low: NDArray[np.float64], high: NDArray[np.float64], preparation: Preparation
) -> Grid:
    """Return the working grid that a recipe specifies along the template's axes, in template mm.

    Args:
        low: (3,) lowest corner of the template's brain in mm.
        high: (3,) highest corner in mm.
        preparation: spacing (1 mm where null), shape and centre.
    """
    spacing = np.array([mm or 1.0 for mm in preparation.spacing_mm])
    centre_mm = preparation.template.centre_mm if preparation.template else None
    centre = (low + high) / 2 if centre_mm is None else np.array(centre_mm)
    minimum = np.ceil((high - low) / spacing).astype(int) + 1 + 2 * MARGIN
    shape = [n or int(m) for n, m in zip(preparation.shape, minimum, strict=True)]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = centre - spacing * (np.array(shape) - 1) / 2
    return Grid(shape=_triple(shape), affine=affine)


def _keeps_thick_slices(preparation: Preparation, axis: int, own: float) -> bool:
    target, any_shape = preparation.spacing_mm[axis], preparation.shape[axis] is None
    keep = preparation.thick_slices == "keep"
    return keep and any_shape and target is not None and own >= max(THICK_MM, target)


def _step(target: float | None, own: float) -> float:
    if target is None or abs(target / own - 1) < SAME_SPACING:
        return 1.0
    return target / own


def _triple(shape: list[int]) -> Shape:
    return shape[0], shape[1], shape[2]
