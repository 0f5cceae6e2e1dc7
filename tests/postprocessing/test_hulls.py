"""Hulls against Delaunay's triangulation and scikit-image's slices; flat ones by hand."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import Delaunay
from skimage.morphology import convex_hull_image

from anomri.postprocessing.hulls import fill_hull
from anomri.scan import Mask


def mask_of(voxels: list[tuple[int, int, int]]) -> Mask:
    mask = np.zeros((10, 9, 11), dtype=bool)
    mask[tuple(np.array(voxels).T)] = True
    return mask


# corners of a hull without volume, and its voxels, found by hand
CASES = {
    "voxel": ([(4, 3, 2)], [(4, 3, 2)]),
    "line along an axis": ([(1, 3, 2), (5, 3, 2)], [(i, 3, 2) for i in range(1, 6)]),
    "oblique line": ([(0, 0, 0), (6, 4, 2)], [(0, 0, 0), (3, 2, 1), (6, 4, 2)]),
    "line that meets no voxel": ([(0, 0, 0), (5, 3, 2)], [(0, 0, 0), (5, 3, 2)]),
    "line in a slice": ([(1, 7, 3), (5, 1, 3)], [(1, 7, 3), (3, 4, 3), (5, 1, 3)]),
    "axial triangle": (
        [(1, 1, 3), (4, 1, 3), (1, 4, 3)],
        [(i, j, 3) for i in range(1, 5) for j in range(1, 6 - i)],
    ),
    "diagonal plane": (
        [(0, 0, 0), (6, 6, 0), (0, 0, 6), (6, 6, 6)],
        [(i, i, k) for i in range(7) for k in range(7)],
    ),
    "oblique plane": (
        [(0, 0, 0), (6, 0, 6), (0, 6, 3), (6, 6, 9)],
        [(i, j, i + j // 2) for i in range(7) for j in (0, 2, 4, 6)],
    ),
}


@pytest.mark.parametrize(("corners", "voxels"), CASES.values(), ids=CASES)
def test_hull_without_volume(
    corners: list[tuple[int, int, int]], voxels: list[tuple[int, int, int]]
) -> None:
    found = fill_hull(mask_of(corners), 3)
    np.testing.assert_array_equal(found, mask_of(voxels))


@pytest.mark.parametrize("seed", range(8))
def test_hull_with_volume_is_the_one_that_delaunay_fills(seed: int) -> None:
    mask = np.random.default_rng(seed).random((14, 9, 11)) > 0.98
    simplices = Delaunay(np.argwhere(mask))
    inside = simplices.find_simplex(np.argwhere(np.ones_like(mask)), tol=1e-9) >= 0
    np.testing.assert_array_equal(fill_hull(mask, 3), inside.reshape(mask.shape))


def ring(axis: int) -> NDArray[np.bool_]:
    i, j, k = np.indices((21, 21, 21)) - 10
    distance = np.sqrt(i**2 + j**2 + k**2)
    shell: NDArray[np.bool_] = (distance < 9) & (distance > 7)
    return np.moveaxis(shell, 0, axis)


def test_shell_becomes_ball() -> None:
    i, j, k = np.indices((21, 21, 21)) - 10
    found = fill_hull(ring(0), 3)
    np.testing.assert_array_equal(found, i**2 + j**2 + k**2 < 81)


def test_each_slice_has_its_own_hull() -> None:
    mask = np.random.default_rng(1).random((30, 25, 6)) > 0.97
    mask[:, :, 4] = False
    found = fill_hull(mask, 2)
    assert not found[:, :, 4].any()
    for k in np.flatnonzero(mask.any(axis=(0, 1))):
        expected = convex_hull_image(mask[:, :, k], offset_coordinates=False)
        np.testing.assert_array_equal(found[:, :, k], expected)


@pytest.mark.parametrize("dims", [2, 3])
def test_hull_moves_with_the_head(dims: Literal[2, 3]) -> None:
    mask = np.random.default_rng(2).random((14, 11, 9)) > 0.97
    moves = [partial(np.flip, axis=axis) for axis in range(3)]
    turns = [(0, 1)] if dims == 2 else [(0, 1), (1, 2)]
    moves += [partial(np.rot90, axes=axes) for axes in turns]
    for move in moves:
        moved = fill_hull(np.ascontiguousarray(move(mask)), dims)
        np.testing.assert_array_equal(moved, move(fill_hull(mask, dims)))


def test_nothing_has_no_hull() -> None:
    empty = np.zeros((4, 5, 6), dtype=bool)
    assert not fill_hull(empty, 3).any()
    assert not fill_hull(empty, 2).any()
