"""Voxel sizes estimated from the brain, and removal of edges where the image ends inside it."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.preprocessing.brain import remove_cut_edges
from anomri.preprocessing.brain.field_of_view import region_without_data
from anomri.preprocessing.brain.voxel_size import estimate_grid, estimate_scale
from anomri.scan import Grid, Mask, Volume

Head = tuple[Volume, Mask, Grid]


def test_the_voxel_size_is_estimated_from_the_brain(head: Head) -> None:
    _, brain, grid = head
    nominal = Grid(shape=grid.shape, affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    estimated = estimate_grid(nominal, brain)
    # The template's brain is a tenth larger than the mean of the heads that were measured.
    np.testing.assert_allclose(estimated.spacing, grid.spacing, rtol=0.15)


def test_the_estimate_is_exact_for_a_brain_of_the_mean_size() -> None:
    brain = np.zeros((100, 100, 40), bool)
    brain[10:83, 20:80, 5:39] = True  # 4380 voxels, 34 slices
    grid = Grid(shape=brain.shape, affine=np.diag([1.0, 1.0, 2.0, 1.0]))
    scale = estimate_scale(grid, brain)
    assert scale[0] == scale[1] == pytest.approx(np.sqrt(17300 / 4380))
    assert scale[2] * 2 == pytest.approx(136 / 34)


def test_the_slice_thickness_of_a_cut_brain_comes_from_the_number_of_slices() -> None:
    brain = np.zeros((60, 60, 25), bool)
    brain[10:50, 10:50] = True
    grid = Grid(shape=brain.shape, affine=np.eye(4))
    assert estimate_scale(grid, brain)[2] == pytest.approx(150 / 25)


def test_the_edge_at_a_face_of_the_volume_is_removed(head: Head) -> None:
    values, brain, grid = head
    middle = brain.shape[2] // 2
    cut = Grid(shape=(*grid.shape[:2], grid.shape[2] - middle), affine=grid.affine)
    kept, notes = remove_cut_edges(brain[:, :, middle:], values[:, :, middle:], cut)
    assert not kept[:, :, 0].any()
    assert kept[:, :, 2].any()
    assert notes == []
    whole, _ = remove_cut_edges(brain, values, grid)
    np.testing.assert_array_equal(whole, brain)


def test_the_edge_where_the_data_end_inside_the_brain_is_removed(head: Head) -> None:
    values, brain, grid = head
    ended = np.where(np.indices(brain.shape)[2] > 60, np.float32(0), values * brain)
    kept, (note,) = remove_cut_edges(brain, ended, grid)
    assert "ends inside the brain" in note.text
    assert not kept[:, :, 61:].any()
    assert np.count_nonzero(kept[:, :, 60]) < 0.1 * np.count_nonzero(kept[:, :, 59])
    assert not region_without_data(brain, (values + 1) * brain, grid).any()
