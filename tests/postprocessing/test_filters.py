"""Median, smoothing and standardising against SciPy and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage, stats

from anomri.postprocessing.filters import median, smooth, standardise

RNG = np.random.default_rng(7)
VALUES = RNG.normal(size=(12, 10, 8)).astype(np.float32)
BRAIN = ndimage.gaussian_filter(RNG.normal(size=VALUES.shape), 2) > -0.05


@pytest.mark.parametrize(
    ("size_mm", "spacing", "dims", "voxels"),
    [
        (5, (1.0, 1.0, 1.0), 3, (5, 5, 5)),
        (5, (1.0, 1.0, 8.0), 3, (5, 5, 1)),
        (5, (1.0, 1.0, 1.0), 2, (5, 5, 1)),
        (6, (1.5, 1.5, 1.0), 3, (5, 5, 7)),
        (6, (1.5000001, 1.5, 6.0), 3, (5, 5, 1)),
        (3, (0.47, 0.47, 8.0), 3, (7, 7, 1)),
    ],
)
def test_median_is_scipys_over_the_nearest_odd_box(
    state_of: Any,
    size_mm: float,
    spacing: tuple[float, float, float],
    dims: Any,
    voxels: tuple[int, ...],
) -> None:
    values = np.where(BRAIN, VALUES, 0)
    filtered = median(state_of(values, brain=BRAIN, spacing=spacing), size_mm=size_mm, dims=dims)
    expected = ndimage.median_filter(values, voxels, mode="constant") * BRAIN
    np.testing.assert_array_equal(filtered.values, expected)


def test_median_smaller_than_a_voxel_changes_nothing(state_of: Any) -> None:
    np.testing.assert_array_equal(median(state_of(VALUES), size_mm=1).values, VALUES)


def test_smoothing_does_not_darken_the_rim(state_of: Any) -> None:
    even = state_of(np.where(BRAIN, 3.0, 0), brain=BRAIN)
    np.testing.assert_allclose(smooth(even, sigma_mm=2).values[BRAIN], 3, rtol=1e-5)


def test_smoothing_by_another_brain_is_not_that_of_the_one_before(state_of: Any) -> None:
    smaller = ndimage.binary_erosion(BRAIN)
    for brain in (BRAIN, smaller, BRAIN):
        even = smooth(state_of(np.where(brain, 3.0, 0), brain=brain), sigma_mm=2)
        np.testing.assert_allclose(even.values[brain], 3, rtol=1e-5)
        assert not even.values[~brain].any()


def test_smoothing_spreads_a_point_by_millimetres(state_of: Any) -> None:
    point = np.zeros((21, 21, 21))
    point[10, 10, 10] = 1
    spread = smooth(state_of(point, spacing=(1.0, 1.0, 2.0)), sigma_mm=2).values[10, 10]
    # Two voxels up are 4 mm, two sigma: exp(-2) of the middle.
    assert spread[12] / spread[10] == pytest.approx(np.exp(-2), rel=1e-4)


def test_standardise_uses_median_and_scaled_mad_of_the_brain(state_of: Any) -> None:
    inside = VALUES[BRAIN]
    scaled = standardise(state_of(VALUES * 5 + 2, brain=BRAIN)).values[BRAIN]
    spread = stats.median_abs_deviation(inside, scale="normal")
    np.testing.assert_allclose(scaled, (inside - np.median(inside)) / spread, rtol=1e-3, atol=1e-4)


def test_standardise_by_hand(state_of: Any) -> None:
    # median 3, absolute deviations 2 1 0 1 7, their median 1
    scaled = standardise(state_of(np.array([1, 2, 3, 4, 10]).reshape(5, 1, 1)))
    np.testing.assert_allclose(
        scaled.values.ravel(), np.array([-2, -1, 0, 1, 7]) / 1.4826, rtol=1e-6
    )


def test_standardise_falls_back_to_the_standard_deviation(state_of: Any) -> None:
    mostly_zero = np.array([0, 0, 0, 0, 5]).reshape(5, 1, 1)  # MAD 0, deviation 2
    np.testing.assert_allclose(standardise(state_of(mostly_zero)).values.ravel(), [0, 0, 0, 0, 2.5])


def test_standardise_leaves_a_constant_map_at_zero(state_of: Any) -> None:
    assert not standardise(state_of(np.full((3, 3, 3), 4.0))).values.any()
