"""A head whose brain is known, in many positions, finds its brain at the same place."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from scipy import ndimage

from anomri.preprocessing.brain_search import assumed_grid, search_brain
from anomri.preprocessing.grids import orient, to_ras
from anomri.preprocessing.resampling import index_map, sample
from anomri.scan import Affine, Grid, Mask, Volume

GOOD = 0.9
SAME = 0.95


@cache
def head(contrast: str = "t1") -> tuple[Volume, Mask, Grid]:
    """The template's brain in fluid, bone and fat, on a neck, at 3 mm."""
    image = load_mni152_template(resolution=3)
    room = ((8, 8), (12, 16), (24, 12))
    brain = np.pad(load_mni152_brain_mask(resolution=3).get_fdata() > 0, room)
    tissue = np.pad(image.get_fdata(), room).astype(np.float32)
    outside = ndimage.distance_transform_edt(~brain, sampling=3.0)
    index = np.indices(brain.shape)
    neck = np.hypot(index[0] - brain.shape[0] / 2, index[1] - brain.shape[1] * 0.42) < 20
    neck &= index[2] < 34
    t1 = np.select([outside < 2, outside < 8, outside < 14, neck], [0.15, 0.05, 0.9, 0.5], 0.0)
    other = np.select([outside < 2, outside < 8, outside < 14, neck], [0.9, 0.05, 0.4, 0.3], 0.0)
    values = np.where(brain, tissue, t1) if contrast == "t1" else np.where(brain, 1 - tissue, other)
    values += np.abs(np.random.default_rng(0).normal(0, 0.015, values.shape))
    affine = image.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [before for before, _ in room]
    return values.astype(np.float32), brain, Grid(shape=brain.shape, affine=affine)


def dice(a: Mask, b: Mask) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def on(grid: Grid) -> tuple[Volume, Mask]:
    """The head and its brain on another grid, axes turned to RAS+ by flips."""
    values, brain, own = head()
    matrix = index_map(own, grid)
    there = sample(values, matrix, grid.shape, linear=True)
    inside = sample(brain.astype(np.float32), matrix, grid.shape, linear=True) >= 0.5
    return there.astype(np.float32), inside


@pytest.mark.parametrize("contrast", ["t1", "inverted"])
def test_the_brain_of_a_head_is_found_in_one_piece(contrast: str) -> None:
    values, brain, grid = head(contrast)
    found = search_brain(values, grid)
    assert dice(found, brain) > GOOD
    assert ndimage.label(found)[1] == 1
    np.testing.assert_array_equal(found, ndimage.binary_fill_holes(found))


def rotated(degrees: float) -> Affine:
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn


@pytest.mark.parametrize("degrees", [0, 20, -30])
def test_oblique_slices_do_not_matter(degrees: float) -> None:
    _, _, own = head()
    centre = own.to_world((np.array(own.shape) - 1) / 2)
    affine = rotated(degrees) @ np.diag([3.0, 3, 3, 1])
    shape = (90, 100, 100)
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(shape) - 1) / 2
    grid = Grid(shape=shape, affine=affine)
    values, _ = on(grid)
    direct = search_brain(*head()[::2])
    there = sample(direct.astype(np.float32), index_map(own, grid), shape, linear=True) >= 0.5
    assert dice(search_brain(values, grid), there) > SAME


def test_the_order_and_direction_of_the_axes_do_not_matter() -> None:
    values, _, grid = head()
    flipped = np.ascontiguousarray(values.transpose(2, 0, 1)[::-1, :, ::-1])
    affine = np.zeros((4, 4))
    affine[:3, :3] = grid.affine[:3, [2, 0, 1]] * [-1, 1, -1]
    last = (values.shape[2] - 1) * grid.affine[:3, 2] + (values.shape[1] - 1) * grid.affine[:3, 1]
    affine[:, 3] = [*(grid.affine[:3, 3] + last), 1]
    other = Grid(shape=flipped.shape, affine=affine)
    found = search_brain(to_ras(flipped, other), orient(other))
    np.testing.assert_array_equal(found, search_brain(values, grid))


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 8.0), (6.0, 2.0, 2.0)])
def test_thick_slices_keep_their_brain(spacing: tuple[float, float, float]) -> None:
    _, _, own = head()
    size = np.array(own.shape) * own.spacing
    shape = tuple(int(n) for n in size // spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = own.affine[:3, 3]
    grid = Grid(shape=(shape[0], shape[1], shape[2]), affine=affine)
    values, brain = on(grid)
    assert dice(search_brain(values, grid), brain) > GOOD


def test_a_constant_below_zero_changes_nothing() -> None:
    values, _, grid = head()
    np.testing.assert_array_equal(search_brain(values - 3, grid), search_brain(values, grid))


def test_without_a_spacing_the_usual_field_of_view_is_assumed() -> None:
    grid = assumed_grid((256, 256, 50))
    assert grid.spacing == pytest.approx((0.9375, 0.9375, 3.0))
    np.testing.assert_allclose(grid.to_world((np.array(grid.shape) - 1) / 2), 0, atol=1e-9)
    assert assumed_grid((256, 256, 10)).spacing[2] == 8
