from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from anomri.errors import GridMismatch
from anomri.preprocessing import sample
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.resampling import (
    Smoothing,
    masked_samples,
    resample_image,
    same_grid,
    sample_mask,
    sample_smoothed,
)
from anomri.scan import Grid

SHAPE = (11, 13, 9)
VOLUME = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)


@given(
    order=st.permutations([0, 1, 2]),
    steps=st.tuples(*[st.sampled_from([-1.0, -0.6, 0.5, 1.0, 1.7, 2.0])] * 3),
    start=st.tuples(*[st.floats(-4, 12)] * 3),
)
def test_the_separable_way_agrees_with_scipy(
    order: list[int], steps: tuple[float, ...], start: tuple[float, ...]
) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(steps)[:, order]
    matrix[:3, 3] = start
    expected = ndimage.affine_transform(
        VOLUME, matrix[:3, :3], start, output_shape=(8, 7, 9), order=1, mode="grid-constant"
    )
    found = sample(VOLUME, matrix, (8, 7, 9), linear=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_masks_and_layouts_are_those_of_plain_sampling(turn: float) -> None:
    matrix = np.diag([0.7, 1.0, 1.4, 1.0])
    matrix[:2, 3], matrix[0, 1] = (0.4, -2), turn
    mask = VOLUME > 0.3
    plain = sample(mask.astype(np.float32), matrix, (15, 14, 9), linear=True)
    columns = sample(mask.astype(np.float32), matrix, (15, 14, 9), linear=True, layout="F")
    np.testing.assert_array_equal(columns, plain)
    assert columns.flags.f_contiguous
    found = sample_mask(mask, matrix, (15, 14, 9), layout="F")
    np.testing.assert_array_equal(found, plain >= 0.5)
    assert found.flags.f_contiguous


def test_nearest_keeps_type_and_values() -> None:
    labels = np.random.default_rng(2).integers(0, 5, SHAPE).astype(np.uint8)
    matrix = np.diag([0.5, 0.5, 0.5, 1.0])
    matrix[:3, 3] = -0.25
    found = sample(labels, matrix, (22, 26, 18), linear=False)
    np.testing.assert_array_equal(found, labels.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    assert found.dtype == np.uint8


@pytest.mark.parametrize("step", [1.3, 3.0])
def test_a_flat_brain_stays_flat_to_its_rim(step: float) -> None:
    index = np.indices((40, 40, 40)) - 20.0
    brain = np.linalg.norm(index, axis=0) < 15
    volume = np.where(brain, 100, 9999).astype(np.float32)
    found = masked_samples([volume], brain, np.diag([step, step, step, 1.0]), (12, 12, 12))[0]
    np.testing.assert_allclose(found[found > 0], 100, rtol=1e-4)


def test_coarse_steps_smooth_noise_first() -> None:
    noise = np.random.default_rng(3).normal(size=(48, 48, 48)).astype(np.float32)
    everywhere = np.ones(noise.shape, bool)
    step = np.diag([4.0, 4.0, 4.0, 1.0])
    assert masked_samples([noise], everywhere, step, (12, 12, 12)).std() < 0.2
    assert sample(noise, step, (12, 12, 12), linear=True).std() > 0.8


def grid(shape: tuple[int, int, int] = SHAPE, shift: float = 0.0, turn: float = 0.0) -> Grid:
    affine = np.diag([2.0, 2, 2, 1])
    c, s = np.cos(turn), np.sin(turn)
    affine[:2, :2] = affine[:2, :2] @ np.array([[c, -s], [s, c]])
    affine[:3, 3] = shift
    return Grid(shape=shape, affine=affine)


def test_grids_are_the_same_within_a_tenth_of_a_voxel() -> None:
    assert same_grid(grid(), grid(shift=0.1))
    assert not same_grid(grid(), grid(shift=0.5))
    assert not same_grid(grid(), grid((11, 13, 10)))


def test_a_volume_on_another_grid_is_carried_over_in_the_world() -> None:
    mask = np.zeros(SHAPE, np.float32)
    mask[4, 5, 6] = 1
    placed = resample_image(
        RawImage("m", mask, grid()), grid((15, 15, 15), shift=-4.0), linear=False
    )
    np.testing.assert_array_equal(np.argwhere(placed.values), [[6, 7, 8]])


def test_a_turned_grid_is_interpolated() -> None:
    smooth = ndimage.gaussian_filter(VOLUME, 2)
    there = resample_image(RawImage("m", smooth, grid()), grid(turn=0.1), linear=True)
    back = resample_image(there, grid(), linear=True)
    inner = (slice(3, -3),) * 3
    assert np.corrcoef(back.values[inner].ravel(), smooth[inner].ravel())[0, 1] > 0.95
    half = resample_image(RawImage("m", smooth, grid()), grid(shift=0.5), linear=True)
    nearest = resample_image(RawImage("m", smooth, grid()), grid(shift=0.5), linear=False)
    assert not np.isin(half.values[inner], smooth).any()  # between voxels, unlike the nearest
    assert np.isin(nearest.values[inner], smooth).all()


def test_one_affine_and_two_shapes_do_not_match() -> None:
    with pytest.raises(GridMismatch, match="11 x 13 x 9"):
        resample_image(RawImage("mask.nii", VOLUME, grid()), grid((11, 13, 10)), linear=False)


def test_volumes_that_do_not_meet_do_not_match() -> None:
    with pytest.raises(GridMismatch, match="elsewhere"):
        resample_image(RawImage("mask.nii", VOLUME, grid()), grid(shift=500.0), linear=False)


@pytest.mark.parametrize("step", [0.7, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("mode", ["reflect", "constant"])
@pytest.mark.parametrize("turned", [False, True])
def test_smoothing_what_is_sampled_gives_the_same_bits(
    step: float, mode: Literal["reflect", "constant"], turned: bool
) -> None:
    volume = np.random.default_rng(0).normal(size=(20, 26, 23)).astype(np.float32)
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, -step, 0], [0, 0.1 * turned, 0.9 * step], [step, 0, 0]]
    matrix[:3, 3] = (18.3, -1.25, 4)
    smoothing = Smoothing((1.1, 0.0, 1.7), mode=mode, truncate=3)
    smooth = ndimage.gaussian_filter(volume, smoothing.sigma, mode=mode, truncate=3)
    expected = sample(smooth, matrix, (8, 9, 7), linear=True)
    found = sample_smoothed(volume, smoothing, matrix, (8, 9, 7))
    np.testing.assert_array_equal(found, expected, strict=True)
    far = matrix + np.pad(np.full((3, 1), 99.0), ((0, 1), (3, 0)))
    assert not sample_smoothed(volume, smoothing, far, (8, 9, 7)).any()
