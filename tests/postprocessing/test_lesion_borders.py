"""Borders half-way between a lesion and the tissue around it, against known partial volume."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anomri.postprocessing import SegmentationState
from anomri.postprocessing.lesion_borders import half_maximum
from anomri.postprocessing.superficial import remove_superficial
from anomri.scan import Mask, Volume

FINE = 0.5  # mm
SHAPE = (96, 96, 96)


def ball(centre: tuple[int, ...], radius_mm: float) -> Mask:
    offsets = np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1))
    return np.asarray(np.linalg.norm(offsets, axis=0) * FINE <= radius_mm)


def acquired(fine: Volume, factors: tuple[int, int, int]) -> Volume:
    """Average blocks of fine voxels, as a scanner does."""
    i, j, k = factors
    blocks = fine.reshape(SHAPE[0] // i, i, SHAPE[1] // j, j, SHAPE[2] // k, k)
    return np.asarray(blocks.mean(axis=(1, 3, 5)), dtype=np.float32)


def state_of(values: Volume, factors: tuple[int, int, int]) -> SegmentationState:
    i, j, k = (FINE * n for n in factors)
    brain = np.ones(values.shape, bool)
    return SegmentationState(values, brain, (i, j, k), i * j * k * 1e-3)


@pytest.mark.parametrize("factors", [(2, 2, 2), (4, 4, 4), (2, 2, 12)], ids=str)
@pytest.mark.parametrize("peak", [3.5, 9.0])
def test_faint_and_bright_lesions_have_their_true_volume(
    factors: tuple[int, int, int], peak: float
) -> None:
    fraction = ball((48, 48, 54), 6).astype(np.float32)
    state = state_of(acquired(fraction * peak, factors), factors)
    found = half_maximum(state, 3.0).lesion
    true = acquired(fraction, factors) > 0.5
    assert 0.9 < found.sum() / true.sum() < 1.25
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.9


def test_the_border_of_a_lesion_does_not_depend_on_another() -> None:
    faint, bright = ball((30, 48, 48), 6), ball((66, 48, 48), 6)
    factors = (2, 2, 2)
    alone, both = (
        half_maximum(state_of(acquired(image.astype(np.float32), factors), factors), 3.0).lesion
        for image in (faint * 4.0, faint * 4.0 + bright * 12.0)
    )
    left = np.arange(alone.shape[0])[:, None, None] < 24
    np.testing.assert_array_equal(alone & left, both & left)


def test_a_voxel_above_the_level_of_its_lesion_has_a_positive_margin() -> None:
    state = state_of(acquired(ball((48, 48, 54), 6).astype(np.float32) * 5, (4, 4, 4)), (4, 4, 4))
    found = half_maximum(state, 3.0)
    assert found.margin is not None
    np.testing.assert_array_equal(found.margin > 0, found.lesion)
    assert np.abs(found.margin[found.lesion] - 2.5).max() < 2.6  # the level is half of 5


def test_a_lesion_in_bright_tissue_does_not_flood_it() -> None:
    values = np.where(np.arange(48)[:, None, None] < 30, 1.8, 0.0) * np.ones((48, 48, 48))
    values[13:18, 21:27, 21:27] = 5
    state = state_of(values.astype(np.float32), (2, 2, 2))
    found = half_maximum(state, 3.0).lesion
    np.testing.assert_array_equal(found, values == 5)


def test_nothing_above_the_threshold_is_no_lesion() -> None:
    assert not half_maximum(
        state_of(np.full((9, 9, 9), 2.9, np.float32), (2, 2, 2)), 3
    ).lesion.any()


def test_a_sheet_at_the_surface_goes_and_a_lesion_that_touches_the_rim_stays() -> None:
    brain = np.asarray(ball((48, 48, 48), 22)[::2, ::2, ::2])
    depth = ndimage.distance_transform_edt(brain)
    sheet = (depth > 4) & (depth < 7) & (np.arange(48) > 34)
    sheet[24:] = False
    lesion = np.asarray(ball((70, 48, 48), 10)[::2, ::2, ::2]) & (depth > 4)
    state = SegmentationState(brain.astype(np.float32), brain, (1, 1, 1), 1e-3, sheet | lesion)
    assert sheet.any()
    np.testing.assert_array_equal(remove_superficial(state).lesion, lesion)
