"""Resampling of volumes between grids, in index space.

Working grids are native grids with permuted, flipped, cropped and rescaled axes, so resampling in
both directions is separable whatever the native affine is: rotation and shear stay in the affine
and never cost an interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.errors import GridMismatch
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.scan import Affine, Grid, Image, Mask, Volume

Shape = tuple[int, int, int]

SNAP = 1e-6  # matrix entries this close to a whole number are rounded
SAME_GRID = 0.1  # of the shortest voxel side: maximum distance between corresponding corners
ANTI_ALIAS = 1.5  # steps of more voxels than this are smoothed first


def index_map(source: Grid, target: Grid) -> Affine:
    """Return the (4, 4) map from voxel indices of ``target`` to those of ``source``."""
    matrix = np.linalg.inv(source.affine) @ target.affine
    nearest = np.rint(matrix)
    return np.where(np.abs(matrix - nearest) < SNAP, nearest, matrix)


def sample(
    volume: NDArray[Any],
    matrix: Affine,
    shape: Shape,
    *,
    linear: bool,
    layout: Literal["C", "F"] = "C",
) -> NDArray[Any]:
    """Resample ``volume`` with an affine map of voxel indices.

    Args:
        volume: (I, J, K); zero beyond its edges.
        matrix: (4, 4) index of the result to index of ``volume``.
        shape: shape of the result.
        linear: linear interpolation; otherwise nearest neighbour, which keeps the data type.
        layout: of the result in memory; files are written from ``F``.
    """
    if (order := _axis_order(matrix)) is None:
        oblique = _sample_obliquely(volume, matrix, shape, linear=linear)
        return np.asarray(oblique, order=layout)
    part, reached = _sample_by_axes(volume, matrix, shape, order, linear=linear)
    result = np.zeros(shape, part.dtype, layout)
    result[reached] = part
    return result


def sample_mask(
    mask: Mask, matrix: Affine, shape: Shape, *, layout: Literal["C", "F"] = "C"
) -> Mask:
    """Resample a mask: linear interpolation, thresholded at 0.5; see :func:`sample`."""
    if (order := _axis_order(matrix)) is None:
        oblique = _sample_obliquely(mask, matrix, shape, linear=True)
        return np.asarray(oblique >= 0.5, order=layout)
    part, reached = _sample_by_axes(mask, matrix, shape, order, linear=True)
    result = np.zeros(shape, np.bool_, layout)
    result[reached] = part >= 0.5
    return result


def _sample_by_axes(
    volume: NDArray[Any], matrix: Affine, shape: Shape, order: Shape, *, linear: bool
) -> tuple[NDArray[Any], tuple[slice, ...]]:
    """Return what is not zero of the result, and where it lies there."""
    part, reached = np.transpose(volume, order), list[slice]()
    for axis, source_axis in enumerate(order):
        step, start = matrix[source_axis, axis], matrix[source_axis, 3]
        positions = step * np.arange(shape[axis]) + start
        # Most of a native grid lies around the brain, where there is nothing to interpolate.
        reached.append(_reached(part, positions, axis))
        part = (_linear if linear else _nearest)(part, positions[reached[-1]], axis)
    return part, tuple(reached)


def resample_to_grid(values: Image, source: Grid, target: Grid) -> Image:
    """Return (C, I, J, K) values of one grid on another by linear interpolation."""
    matrix = index_map(source, target)
    return np.stack([sample(volume, matrix, target.shape, linear=True) for volume in values])


def resample_image(image: RawImage, grid: Grid, *, linear: bool) -> RawImage:
    """Return an image on another image's grid.

    Args:
        image: as read from its file.
        grid: target grid.
        linear: linear interpolation; otherwise nearest neighbour.

    Raises:
        GridMismatch: the affines are equal but the shapes are not, or the two volumes do not
            overlap in world space.
    """
    assumed_same = not image.spacing_known and image.grid.shape == grid.shape
    if assumed_same or same_grid(image.grid, grid):
        return image.with_values(image.values)
    _refuse_mismatch(image, grid)
    matrix = index_map(image.grid, grid)
    resampled = RawImage(image.name, sample(image.values, matrix, grid.shape, linear=linear), grid)
    if image.undefined is None:
        return resampled
    undefined = sample(image.undefined.astype(np.float32), matrix, grid.shape, linear=linear) > 0
    return replace(resampled, undefined=undefined)


def same_grid(a: Grid, b: Grid) -> bool:
    """Return whether two grids have the same shape and corners within a tenth of a voxel."""
    if a.shape != b.shape:
        return False
    distance = np.abs(corners(a) - corners(b)).max()
    return bool(distance <= SAME_GRID * min(*a.spacing, *b.spacing))


def masked_samples(volumes: Sequence[Volume], brain: Mask, matrix: Affine, shape: Shape) -> Image:
    r"""Resample volumes from brain voxels only, with linear interpolation.

    With the smoothing and interpolation weights w of a result voxel, its value is
    :math:`\sum w\,b\,v / \sum w\,b` over the brain mask b, so that neither the background nor the
    skull bleeds into the brain. Steps s above 1.5 voxels are smoothed with a Gaussian of
    :math:`\sqrt{s^2-1}/2.355` voxels.

    Args:
        volumes: C volumes (I, J, K).
        brain: (I, J, K) bool.
        matrix: (4, 4) index of the result to index of a volume.
        shape: shape of the result.

    Returns:
        (C, I, J, K), float32.
    """
    weight = np.ascontiguousarray(brain, dtype=np.float32)
    steps = np.linalg.norm(matrix[:3, :3], axis=1)
    sigma = [anti_alias_sigma(step) if step > ANTI_ALIAS else 0.0 for step in steps]
    smoothing = Smoothing(sigma, mode="constant", truncate=3)
    total_weight = sample_smoothed(weight, smoothing, matrix, shape)
    result = np.zeros((len(volumes), *shape), np.float32)
    for own, volume in zip(result, volumes, strict=True):
        inside = np.ascontiguousarray(volume) * weight
        total = sample_smoothed(inside, smoothing, matrix, shape)
        np.divide(total, total_weight, out=own, where=total_weight > 0)
    return result


@dataclass(frozen=True, slots=True)
class Smoothing:
    """A Gaussian filter.

    Attributes:
        sigma: standard deviation along each axis, in voxels; 0 where there is none.
        mode: how SciPy continues a volume beyond its edges.
        truncate: standard deviations at which the filter ends.
    """

    sigma: Sequence[float]
    mode: Literal["reflect", "constant"] = "reflect"
    truncate: float = 4

    def reach(self, axis: int) -> int:
        """Return how many voxels away a value may come from."""
        return int(self.truncate * self.sigma[axis] + 0.5)

    def along(self, volume: Volume, axis: int) -> Volume:
        """Smooth a volume along one axis."""
        if self.sigma[axis] == 0:
            return volume
        smooth: Volume = ndimage.gaussian_filter1d(
            volume, self.sigma[axis], axis, mode=self.mode, truncate=self.truncate
        )
        return smooth


def sample_smoothed(volume: Volume, smoothing: Smoothing, matrix: Affine, shape: Shape) -> Volume:
    """Smooth a volume and resample it linearly; see :func:`sample`.

    Only those slices are smoothed that the interpolation reads: at a step of four voxels that is
    half of them along each axis.

    Args:
        volume: (I, J, K) float32; zero beyond its edges when it is resampled.
        smoothing: Gaussian filter before that.
        matrix: (4, 4) index of the result to index of ``volume``.
        shape: shape of the result.
    """
    order = _axis_order(matrix)
    if order is None or not any(smoothing.sigma):
        for axis in range(3):
            volume = smoothing.along(volume, axis)
        return sample(volume, matrix, shape, linear=True)
    positions = [
        matrix[source_axis, axis] * np.arange(shape[axis]) + matrix[source_axis, 3]
        for axis, source_axis in enumerate(order)
    ]
    kept = [_kept(positions[order.index(axis)], volume.shape[axis]) for axis in range(3)]
    part = np.transpose(_smoothed_slices(volume, smoothing, kept), order)
    for axis, source_axis in enumerate(order):
        part = _linear(part, positions[axis], axis, kept[source_axis])
    return np.ascontiguousarray(part)


def _smoothed_slices(
    volume: Volume, smoothing: Smoothing, kept: Sequence[NDArray[np.intp]]
) -> Volume:
    """Smooth along the axes in turn, as SciPy does, and keep only some slices along each."""
    first = [max(index[0] - smoothing.reach(axis), 0) for axis, index in enumerate(kept)]
    last = [index[-1] + smoothing.reach(axis) for axis, index in enumerate(kept)]
    volume = volume[tuple(slice(low, high + 1) for low, high in zip(first, last, strict=True))]
    for axis, index in enumerate(kept):
        volume = smoothing.along(volume, axis)
        if index[-1] - index[0] == len(index) - 1:  # a range, which need not be copied
            ends = slice(index[0] - first[axis], index[-1] - first[axis] + 1)
            volume = volume[(slice(None),) * axis + (ends,)]
        else:
            volume = volume.take(index - first[axis], axis)
    return volume


def _kept(positions: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the slices of ``count`` that linear interpolation at ``positions`` reads, or one."""
    low = np.floor(positions).astype(int)
    index = np.unique([low, low + 1])
    inside: NDArray[np.intp] = index[(index >= 0) & (index < count)]
    return inside if inside.size else np.zeros(1, int)


def anti_alias_sigma(step: float) -> float:
    """Return the standard deviation in voxels of the smoothing before a step of ``step`` voxels."""
    return float(np.sqrt(step * step - 1) / 2.355) if step > 1 else 0.0


def _axis_order(matrix: Affine) -> tuple[int, int, int] | None:
    """Return the source axis of each result axis; None where the map rotates or shears."""
    used = np.abs(matrix[:3, :3]) > SNAP
    if not (used.sum(axis=0) == 1).all() or not (used.sum(axis=1) == 1).all():
        return None
    i, j, k = (int(axis) for axis in used.argmax(axis=0))
    return i, j, k


def _reached(volume: NDArray[Any], positions: NDArray[np.float64], axis: int) -> slice:
    """Return the range of positions along ``axis`` that interpolate anything but zeros."""
    others = tuple(other for other in range(3) if other != axis)
    filled = np.flatnonzero(volume.any(axis=others))
    if not filled.size:
        return slice(0)
    index = np.flatnonzero((positions > filled[0] - 1) & (positions < filled[-1] + 1))
    return slice(int(index[0]), int(index[-1]) + 1) if index.size else slice(0)


def _nearest(volume: NDArray[Any], positions: NDArray[np.float64], axis: int) -> NDArray[Any]:
    # Halves round up on both sides of zero, unlike np.rint, so that flips change little.
    index = np.floor(positions + 0.5).astype(int)
    return _take(volume, index, axis)


def _linear(
    volume: NDArray[Any],
    positions: NDArray[np.float64],
    axis: int,
    kept: NDArray[np.intp] | None = None,
) -> NDArray[Any]:
    """Interpolate along ``axis``, of which ``volume`` may hold the slices ``kept`` alone."""
    low = np.floor(positions).astype(int)
    fraction = (positions - low).astype(np.float32)
    lower = _take(volume, low, axis, kept).astype(np.float32, copy=False)
    if not fraction.any():
        return lower
    weight = fraction.reshape([-1 if a == axis else 1 for a in range(3)])
    upper = _take(volume, low + 1, axis, kept).astype(np.float32, copy=False)
    result: NDArray[np.float32] = np.subtract(upper, lower)
    result *= weight
    result += lower
    return result


def _take(
    volume: NDArray[Any],
    index: NDArray[np.intp],
    axis: int,
    kept: NDArray[np.intp] | None = None,
) -> NDArray[Any]:
    """Return the slices at ``index`` along ``axis``; zero beyond the edges."""
    if kept is not None:
        index = np.where(np.isin(index, kept), np.searchsorted(kept, index), -1)
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
    """Return the (8, 3) world mm of the voxel centres at a grid's corners."""
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in grid.shape], indexing="ij"), axis=-1)
    return grid.to_world(ends.reshape(-1, 3).astype(np.float64))


def _refuse_mismatch(image: RawImage, grid: Grid) -> None:
    got = " x ".join(map(str, image.grid.shape))
    expected = " x ".join(map(str, grid.shape))
    if image.grid.shape != grid.shape and np.allclose(image.grid.affine, grid.affine, atol=1e-3):
        raise GridMismatch(
            image.name,
            expected=f"the shape of its scan, {expected}",
            got=got,
            next_step="give the file that was drawn on this scan",
        )
    a, b = corners(image.grid), corners(grid)
    if (a.max(axis=0) < b.min(axis=0)).any() or (b.max(axis=0) < a.min(axis=0)).any():
        raise GridMismatch(
            image.name,
            expected="a volume that overlaps the scan in space",
            got="one that lies entirely elsewhere, according to the headers",
            next_step="register the two, or repair the wrong header",
        )
