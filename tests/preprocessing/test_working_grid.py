from __future__ import annotations

import nibabel as nib
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomri.preprocessing import grid_to_ras, volume_to_ras
from anomri.preprocessing.grids import brain_box, working_grid
from anomri.recipe import Preparation
from anomri.scan import Affine, Grid

BOX = (slice(10, 30), slice(12, 40), slice(5, 20))


def affine_of(order: tuple[int, ...], signs: tuple[int, ...], shear: float) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = np.diag(np.array(signs) * [1.0, 1.5, 3.0])[:, list(order)]
    affine[0, :3] += shear * affine[1, :3]
    affine[:3, 3] = [-30, 12, 7]
    return affine


@given(
    order=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    shear=st.floats(-0.3, 0.3),
)
def test_orienting_agrees_with_nibabel_and_moves_no_voxel(
    order: list[int], signs: tuple[int, int, int], shear: float
) -> None:
    volume = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    native = Grid(shape=(4, 5, 6), affine=affine_of(tuple(order), signs, shear))
    expected = nib.as_closest_canonical(nib.Nifti1Image(volume, native.affine))
    oriented = grid_to_ras(native)
    np.testing.assert_allclose(oriented.affine, expected.affine, atol=1e-9)
    np.testing.assert_array_equal(volume_to_ras(volume, native), expected.get_fdata())
    assert oriented.shape == expected.shape


def test_the_box_holds_the_brain_and_stays_inside() -> None:
    brain = np.zeros((10, 10, 10), bool)
    brain[1:4, 5, 8] = True
    assert brain_box(brain) == (slice(1, 4), slice(5, 6), slice(8, 9))
    assert brain_box(brain, 2) == (slice(0, 6), slice(3, 8), slice(6, 10))


def test_own_spacing_keeps_voxels_where_they_are() -> None:
    oriented = Grid(shape=(40, 50, 30), affine=np.diag([1.0, 1, 4, 1]))
    grid = working_grid(oriented, BOX, Preparation(spacing_mm=(None, 1.0, None)))
    start = np.linalg.inv(oriented.affine) @ grid.affine
    np.testing.assert_allclose(start[:3, :3], np.eye(3))
    np.testing.assert_array_equal(start[:3, 3], [6, 8, 1])
    assert grid.shape == (28, 36, 23)


def test_a_shape_is_centred_on_the_brain() -> None:
    oriented = Grid(shape=(40, 50, 30), affine=np.diag([1.0, 1, 1, 1]))
    grid = working_grid(oriented, BOX, Preparation(shape=(64, 31, None)))
    assert grid.shape[:2] == (64, 31)
    middle = grid.to_world((np.array(grid.shape) - 1) / 2)
    np.testing.assert_allclose(middle, [19.5, 25.5, 12], atol=0.5)


def test_a_spacing_changes_the_voxel_and_not_the_extent() -> None:
    oriented = Grid(shape=(40, 50, 30), affine=np.diag([1.0, 1, 4, 1]))
    grid = working_grid(oriented, BOX, Preparation(spacing_mm=(2.0, 0.5, None)))
    assert grid.spacing == (2.0, 0.5, 4.0)
    assert grid.shape == (10 + 8, 56 + 8, 15 + 8)
    np.testing.assert_allclose(grid.to_world((np.array(grid.shape) - 1) / 2)[:2], [19.5, 25.5])
