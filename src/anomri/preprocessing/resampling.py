"""Moving volumes between grids, in index space.

Every grid that preparation makes is the native one flipped, permuted, cropped and stepped along
its own axes, so the way there and back is separable whatever the native affine does: rotation
and shear stay in the affine and never cost an interpolation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.errors import GridMismatch
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.scan import Affine, Grid, Mask, Volume

Shape = tuple[int, int, int]

SNAP = 1e-6  # index steps closer to a whole number than this are whole
SAME_GRID = 0.1  # of the shortest voxel side: how far corners may lie apart
ANTI_ALIAS = 1.5  # coarser steps than this smooth first


def index_map(source: Grid, target: Grid) -> Affine:
    """Return the (4, 4) map from voxel indices of ``target`` to those of ``source``."""
    matrix = np.linalg.inv(source.affine) @ target.affine
    nearest = np.rint(matrix)
    return np.where(np.abs(matrix - nearest) < SNAP, nearest, matrix)


def sample(volume: NDArray[Any], matrix: Affine, shape: Shape, *, linear: bool) -> NDArray[Any]:
    """Return ``volume`` at the indices that ``matrix`` gives for each voxel of ``shape``.

    Args:
        volume: (I, J, K); zero beyond its edges.
        matrix: (4, 4) index of the result to index of ``volume``.
        shape: of the result.
        linear: interpolate; else take the nearest voxel and keep the type.
    """
    if (order := _axis_order(matrix)) is None:
        return _sample_obliquely(volume, matrix, shape, linear=linear)
    result = np.transpose(volume, order)
    for axis, source_axis in enumerate(order):
        step, start = matrix[source_axis, axis], matrix[source_axis, 3]
        where = step * np.arange(shape[axis]) + start
        result = (_linear if linear else _nearest)(result, where, axis)
    return np.ascontiguousarray(result)


def place(image: RawImage, onto: Grid, *, linear: bool) -> RawImage:
    """Return ``image`` on the grid ``onto``.

    Raises:
        GridMismatch: the affines are equal but the shapes are not, or the two volumes do not
            meet in the world.
    """
    unknown = not image.spacing_known and image.grid.shape == onto.shape
    if unknown or same_grid(image.grid, onto):
        return image.holding(image.values)
    _refuse_mismatch(image, onto)
    matrix = index_map(image.grid, onto)
    moved = RawImage(image.name, sample(image.values, matrix, onto.shape, linear=linear), onto)
    if image.undefined is None:
        return moved
    touched = sample(image.undefined.astype(np.float32), matrix, onto.shape, linear=linear) > 0
    return replace(moved, undefined=touched)


def same_grid(a: Grid, b: Grid) -> bool:
    """Say whether two grids have one shape and corners within a tenth of a voxel."""
    if a.shape != b.shape:
        return False
    apart = np.abs(corners(a) - corners(b)).max()
    return bool(apart <= SAME_GRID * min(*a.spacing, *b.spacing))


def masked_sample(volume: Volume, brain: Mask, matrix: Affine, shape: Shape) -> Volume:
    r"""Return ``volume`` on a coarser or finer grid, from brain voxels only.

    With the smoothing and linear weights w of each result voxel, the value is
    :math:`\sum w\,b\,v / \sum w\,b` over the brain b, so that neither the background nor the
    skull bleeds into the rim. Smoothing is a Gaussian of :math:`\sqrt{s^2-1}/2.355` voxels for
    a step s above 1.5 voxels.
    """
    weight = np.ascontiguousarray(brain, dtype=np.float32)
    inside = np.ascontiguousarray(volume) * weight
    sigma = _anti_alias(matrix)
    if any(sigma):
        weight = ndimage.gaussian_filter(weight, sigma, mode="constant", truncate=3)
        inside = ndimage.gaussian_filter(inside, sigma, mode="constant", truncate=3)
    total = sample(weight, matrix, shape, linear=True)
    value = sample(inside, matrix, shape, linear=True)
    result: Volume = np.divide(value, total, out=np.zeros_like(value), where=total > 0)
    return result


def _anti_alias(matrix: Affine) -> tuple[float, ...]:
    """Standard deviations in voxels along the source's axes."""
    steps = np.linalg.norm(matrix[:3, :3], axis=1)
    return tuple(float(np.sqrt(s * s - 1) / 2.355) if s > ANTI_ALIAS else 0.0 for s in steps)


def _axis_order(matrix: Affine) -> tuple[int, int, int] | None:
    """Return the source axis of each result axis, or None where axes mix."""
    used = np.abs(matrix[:3, :3]) > SNAP
    if not (used.sum(axis=0) == 1).all() or not (used.sum(axis=1) == 1).all():
        return None
    i, j, k = (int(axis) for axis in used.argmax(axis=0))
    return i, j, k


def _nearest(volume: NDArray[Any], where: NDArray[np.float64], axis: int) -> NDArray[Any]:
    # Half a step rounds up on both sides of zero, so that flips do not change the choice much.
    index = np.floor(where + 0.5).astype(int)
    return _take(volume, index, axis)


def _linear(volume: NDArray[Any], where: NDArray[np.float64], axis: int) -> NDArray[Any]:
    low = np.floor(where).astype(int)
    share = (where - low).astype(np.float32)
    lower = _take(volume, low, axis).astype(np.float32, copy=False)
    if not share.any():
        return lower
    weight = share.reshape([-1 if a == axis else 1 for a in range(3)])
    upper = _take(volume, low + 1, axis).astype(np.float32, copy=False)
    result: NDArray[np.float32] = lower + weight * (upper - lower)
    return result


def _take(volume: NDArray[Any], index: NDArray[np.intp], axis: int) -> NDArray[Any]:
    """Pick slices along ``axis``; zero beyond the edges."""
    count = volume.shape[axis]
    if (index == np.arange(count)).all() if len(index) == count else False:
        return volume
    taken = np.take(volume, index.clip(0, count - 1), axis=axis)
    outside = (index < 0) | (index >= count)
    if outside.any():
        np.moveaxis(taken, axis, 0)[outside] = 0
    return taken


def _sample_obliquely(
    volume: NDArray[Any], matrix: Affine, shape: Shape, *, linear: bool
) -> NDArray[Any]:
    source = volume.astype(np.float32) if linear else volume
    result: NDArray[Any] = ndimage.affine_transform(
        source,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=shape,
        order=1 if linear else 0,
        mode="grid-constant",
    )
    return result


def corners(grid: Grid) -> NDArray[np.float64]:
    """Return the (8, 3) world mm of a grid's outermost voxel centres."""
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in grid.shape], indexing="ij"), axis=-1)
    return grid.to_world(ends.reshape(-1, 3).astype(np.float64))


def _refuse_mismatch(image: RawImage, onto: Grid) -> None:
    got = " x ".join(map(str, image.grid.shape))
    expected = " x ".join(map(str, onto.shape))
    if image.grid.shape != onto.shape and np.allclose(image.grid.affine, onto.affine, atol=1e-3):
        raise GridMismatch(
            image.name,
            expected=f"the shape of the scan it lies on, {expected}",
            got=got,
            next_step="give the file that was drawn on this scan",
        )
    a, b = corners(image.grid), corners(onto)
    if (a.max(axis=0) < b.min(axis=0)).any() or (b.max(axis=0) < a.min(axis=0)).any():
        raise GridMismatch(
            image.name,
            expected="a volume that meets the scan in space",
            got="one that lies wholly elsewhere, by the two headers",
            next_step="register the two, or repair the header that is wrong",
        )
