"""The working grid: the native one turned to RAS+, cropped to the brain, stepped as asked."""

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

MARGIN = 4  # voxels of the working grid around the brain where no shape is asked for
THICK_MM = 3.0  # a slice of this thickness and more is not cut into thinner ones
SAME_SPACING = 1e-3  # relative difference under which a spacing is the scan's own


def orient(native: Grid) -> Grid:
    """Return the grid whose axes point right, anterior and superior as nearly as flips allow.

    No voxel moves: the affine takes up the flips and permutations.
    """
    turn = io_orientation(native.affine)
    affine = native.affine @ inv_ornt_aff(turn, native.shape)
    shape = [0, 0, 0]
    for axis, target in enumerate(turn[:, 0].astype(int)):
        shape[target] = native.shape[axis]
    return Grid(shape=(shape[0], shape[1], shape[2]), affine=affine)


def to_ras(volume: NDArray[Kind], native: Grid) -> NDArray[Kind]:
    """Return a view of ``volume``, which lies in file order, with RAS+ axes."""
    turned: NDArray[Kind] = nib.apply_orientation(volume, io_orientation(native.affine))
    return turned


def brain_box(brain: Mask, margin: int = 0) -> tuple[slice, slice, slice]:
    """Return the smallest box that holds the brain, ``margin`` voxels wider, inside the grid."""
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        held = np.flatnonzero(brain.any(axis=others))
        low, high = int(held[0]), int(held[-1])
        box.append(slice(max(low - margin, 0), min(high + margin, brain.shape[axis] - 1) + 1))
    return box[0], box[1], box[2]


def working_grid(oriented: Grid, box: tuple[slice, ...], preparation: Preparation) -> Grid:
    """Return the grid that ``preparation`` asks for around a brain.

    Along each axis, with own spacing d, the brain from voxel a to b and target spacing t: steps
    of s = t/d voxels, N as asked or the whole number above (b − a + 1)/s, plus a margin of four
    on both sides; the middle of the grid is the middle of the brain. A step of one voxel starts
    on a voxel, so that nothing is interpolated. Slices of 3 mm and more stay as they are where
    finer ones are asked for in no fixed number, unless the preparation resamples thick slices.

    Args:
        oriented: RAS+ grid of the native voxels.
        box: of the brain on it.
        preparation: spacing and shape per axis.
    """
    steps, starts, shape = np.ones(3), np.zeros(3), [0, 0, 0]
    for axis, own in enumerate(oriented.spacing):
        target = preparation.spacing_mm[axis]
        steps[axis] = 1 if _stays_thick(preparation, axis, own) else _step(target, own)
        first, past = box[axis].start, box[axis].stop
        needed = int(np.ceil((past - first) / steps[axis])) + 2 * MARGIN
        shape[axis] = preparation.shape[axis] or needed
        start = (first + past - 1) / 2 - steps[axis] * (shape[axis] - 1) / 2
        starts[axis] = np.floor(start) if steps[axis] == 1 else start
    local = np.diag([*steps, 1.0])
    local[:3, 3] = starts
    return Grid(shape=_triple(shape), affine=oriented.affine @ local)


def template_working_grid(
    low: NDArray[np.float64], high: NDArray[np.float64], preparation: Preparation
) -> Grid:
    """Return the grid along the template's axes that ``preparation`` asks for, in template mm.

    Args:
        low: (3,) mm where the template's brain begins.
        high: (3,) mm where it ends.
        preparation: spacing (1 mm where it is null), shape and the middle.
    """
    spacing = np.array([mm or 1.0 for mm in preparation.spacing_mm])
    wanted = preparation.template.centre_mm if preparation.template else None
    centre = (low + high) / 2 if wanted is None else np.array(wanted)
    needed = np.ceil((high - low) / spacing).astype(int) + 1 + 2 * MARGIN
    shape = [n or int(m) for n, m in zip(preparation.shape, needed, strict=True)]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = centre - spacing * (np.array(shape) - 1) / 2
    return Grid(shape=_triple(shape), affine=affine)


def _stays_thick(preparation: Preparation, axis: int, own: float) -> bool:
    target, free = preparation.spacing_mm[axis], preparation.shape[axis] is None
    keep = preparation.thick_slices == "keep"
    return keep and free and target is not None and own >= max(THICK_MM, target)


def _step(target: float | None, own: float) -> float:
    if target is None or abs(target / own - 1) < SAME_SPACING:
        return 1.0
    return target / own


def _triple(shape: list[int]) -> Shape:
    return shape[0], shape[1], shape[2]
