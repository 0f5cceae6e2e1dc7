"""Erosion, opening, closing and holes against distance transforms and hand-drawn shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing import SegmentationState
from anomri.postprocessing.morphology import (
    ball,
    closing,
    crop_around,
    deeper_than,
    dilate,
    dilation,
    erode_brain,
    erosion,
    fill_holes,
    fill_holes_in_all_planes,
    opening,
)

Bool = NDArray[np.bool_]
masks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.booleans())
spacings = st.tuples(*[st.sampled_from((0.5, 1.0, 1.5, 2.5, 8.0))] * 3)
radii = st.sampled_from((0.0, 0.7, 1.0, 1.8, 2.0, 3.0))


def state(mask: Bool, spacing: tuple[float, float, float]) -> SegmentationState:
    return SegmentationState(mask.astype(np.float32), np.ones_like(mask), spacing, 1e-3, mask)


def shrunk(mask: Bool, mm: float, spacing: tuple[float, float, float]) -> Bool:
    """Erode by distance, a path of its own: how far is it to the nearest voxel outside?"""
    framed = np.pad(mask, 8)
    far = ndimage.distance_transform_edt(framed, sampling=spacing) > mm + 1e-6
    return np.asarray(far[8:-8, 8:-8, 8:-8])


def grown(mask: Bool, mm: float, spacing: tuple[float, float, float]) -> Bool:
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing) <= mm + 1e-6)


@settings(deadline=None, max_examples=80)
@given(mask=masks, spacing=spacings, mm=radii)
def test_erosion_is_a_distance(mask: Bool, spacing: Any, mm: float) -> None:
    whole = SegmentationState(np.ones(mask.shape, np.float32), mask, spacing, 1e-3)
    eroded = erode_brain(whole, mm=mm)
    np.testing.assert_array_equal(eroded.brain, shrunk(mask, mm, spacing))
    np.testing.assert_array_equal(eroded.values, eroded.brain)


@settings(deadline=None, max_examples=80)
@given(mask=masks, spacing=spacings, mm=radii)
def test_opening_is_erosion_then_dilation(mask: Bool, spacing: Any, mm: float) -> None:
    expected = grown(shrunk(mask, mm, spacing), mm, spacing)
    np.testing.assert_array_equal(opening(state(mask, spacing), mm=mm).lesion, expected)


@settings(deadline=None, max_examples=80)
@given(mask=masks, spacing=spacings, mm=radii)
def test_dilation_is_a_distance(mask: Bool, spacing: Any, mm: float) -> None:
    expected = grown(mask, mm, spacing)
    np.testing.assert_array_equal(dilate(state(mask, spacing), mm=mm).lesion, expected)


@settings(deadline=None, max_examples=80)
@given(mask=masks, spacing=spacings, mm=radii)
def test_closing_is_dilation_then_erosion_without_borders(
    mask: Bool, spacing: Any, mm: float
) -> None:
    wide = np.pad(mask, 8)
    expected = shrunk(grown(wide, mm, spacing), mm, spacing)[8:-8, 8:-8, 8:-8]
    closed = closing(state(mask, spacing), mm=mm).lesion
    np.testing.assert_array_equal(closed, expected)
    assert not (mask & ~closed).any()


@settings(deadline=None, max_examples=80)
@given(mask=masks)
def test_holes_are_filled_slice_by_slice(mask: Bool) -> None:
    expected = np.stack(
        [ndimage.binary_fill_holes(mask[:, :, k]) for k in range(mask.shape[2])], axis=2
    )
    filled = fill_holes(state(mask, (1.0, 1.0, 1.0))).lesion
    np.testing.assert_array_equal(filled, expected)


def test_a_tunnel_is_a_hole_in_one_of_the_planes() -> None:
    """Open at both ends along one axis, closed in the slices across it."""
    for axis in range(3):
        mask = np.ones((7, 8, 9), bool)
        mask[tuple(slice(None) if n == axis else slice(3, 5) for n in range(3))] = False
        assert fill_holes_in_all_planes(state(mask, (1.0, 1.0, 1.0))).lesion.all()
        assert fill_holes(state(mask, (1.0, 1.0, 1.0))).lesion.all() == (axis == 2)


def test_thick_slices_are_eroded_in_plane_only() -> None:
    brain = np.ones((9, 9, 3), dtype=bool)
    eroded = erode_brain(
        SegmentationState(np.ones((9, 9, 3), np.float32), brain, (1.0, 1.0, 8.0), 8e-3)
    )
    expected = np.zeros_like(brain)
    expected[2:-2, 2:-2, :] = True
    np.testing.assert_array_equal(eroded.brain, expected)


def test_closing_stays_inside_the_brain() -> None:
    mask = np.zeros((7, 3, 1), dtype=bool)
    mask[2], mask[4] = True, True
    brain = np.ones_like(mask)
    brain[3, 1] = False
    closed = closing(SegmentationState(mask.astype(np.float32), brain, (1, 1, 1), 1e-3, mask), mm=1)
    np.testing.assert_array_equal(closed.lesion[:, 1, 0], [0, 0, 1, 0, 1, 0, 0])
    np.testing.assert_array_equal(closed.lesion[:, 0, 0], [0, 0, 1, 0, 1, 0, 0])


def test_a_tunnel_through_slices_is_a_hole_in_each() -> None:
    mask = np.ones((5, 5, 4), dtype=bool)
    mask[2, 2, :] = False
    assert fill_holes(state(mask, (1.0, 1.0, 1.0))).lesion.all()


@pytest.mark.parametrize(
    ("mm", "spacing", "voxels"),
    [
        (2, (1.0, 1.0, 1.0), 33),  # lattice points in a ball of radius 2
        (3, (1.0, 1.0, 1.0), 123),  # and of radius 3
        (2, (1.0, 1.0, 8.0), 13),  # lattice points in a disc of radius 2
        (2, (1.0000001, 1.0000001, 8.0), 13),
        (0, (1.0, 1.0, 1.0), 1),
    ],
)
def test_the_ball_has_as_many_voxels_as_the_lattice(
    mm: float, spacing: tuple[float, float, float], voxels: int
) -> None:
    assert ball(mm, spacing).sum() == voxels


@pytest.mark.parametrize("mm", [0.5, 1.5, 3.2])
@pytest.mark.parametrize("shape", [(9, 7, 11), (1, 4, 2)])
def test_erosion_and_dilation_are_scipys(mm: float, shape: tuple[int, int, int]) -> None:
    element = ball(mm, (1.0, 1.2, 1.5))
    for share in (0.03, 0.5, 0.97):
        mask = np.random.default_rng(0).random(shape) < share
        np.testing.assert_array_equal(erosion(mask, element), ndimage.binary_erosion(mask, element))
        expected = ndimage.binary_dilation(mask, element)
        for turned in (np.ascontiguousarray(mask), np.asfortranarray(mask)):
            np.testing.assert_array_equal(dilation(turned, element), expected)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 1.0])
def test_the_box_is_scipys(share: float) -> None:
    mask = np.random.default_rng(1).random((12, 9, 14)) < share
    found = ndimage.find_objects(mask.astype(np.uint8))
    assert crop_around(mask) == (found[0] if found else (slice(0, 0),) * 3)


@settings(deadline=None, max_examples=80)
@given(mask=masks, spacing=spacings, mm=radii)
def test_deeper_than_is_a_comparison_of_the_distance(mask: Bool, spacing: Any, mm: float) -> None:
    framed = np.pad(mask, 1)
    depth = ndimage.distance_transform_edt(framed, sampling=spacing)[1:-1, 1:-1, 1:-1]
    np.testing.assert_array_equal(deeper_than(mask, mm, spacing), depth > mm)
