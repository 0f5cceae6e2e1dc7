from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.exposure import equalize_hist
from sklearn.preprocessing import StandardScaler

from anomri.errors import BadIntensities, RecipeError
from anomri.preprocessing import INTENSITY_SCALINGS, robust_zscore
from anomri.preprocessing.intensities import (
    histogram_equalised,
    percentile_range,
    scale_in_brain,
    zscore,
)
from anomri.recipe import Step, bind

VALUES = np.random.default_rng(0).gamma(3, 100, 5000).astype(np.float32)


def test_zscore_agrees_with_scikit_learn() -> None:
    expected = StandardScaler().fit_transform(VALUES[:, None].astype(float))[:, 0]
    np.testing.assert_allclose(zscore(VALUES), expected, atol=1e-4)


def test_percentiles_become_zero_and_one() -> None:
    scaled = percentile_range(VALUES, low=1, high=99)
    assert np.percentile(scaled, 99) == pytest.approx(1, abs=1e-5)
    assert scaled.min() == 0
    assert np.mean(scaled == 0) == pytest.approx(0.01, abs=1e-3)
    assert scaled.max() > 1
    assert percentile_range(VALUES, clip=True).max() == 1


def test_percentile_by_hand() -> None:
    scaled = percentile_range(np.arange(101, dtype=np.float32), low=10, high=60)
    np.testing.assert_allclose(scaled[[0, 10, 35, 60, 100]], [0, 0, 0.5, 1, 1.8], atol=1e-6)


def test_equalised_agrees_with_scikit_image() -> None:
    image = VALUES.reshape(50, 100)
    expected = equalize_hist(image, nbins=100_000).ravel()
    np.testing.assert_allclose(histogram_equalised(VALUES), expected, atol=2e-3)


def test_equalised_keeps_ties() -> None:
    ranks = histogram_equalised(np.array([5, 1, 5, 9], np.float32))
    np.testing.assert_allclose(ranks, [0.5, 0.125, 0.5, 0.875])


@pytest.mark.parametrize("name", INTENSITY_SCALINGS)
@given(scale=st.floats(0.01, 1000), shift=st.floats(-1000, 1000))
def test_gain_and_offset_of_the_scanner_do_not_matter(
    name: str, scale: float, shift: float
) -> None:
    values = VALUES[:500].astype(np.float64)
    moved = (values * scale + shift * scale).astype(np.float32)
    expected = INTENSITY_SCALINGS[name](values.astype(np.float32))
    np.testing.assert_allclose(INTENSITY_SCALINGS[name](moved), expected, atol=5e-3)


@pytest.mark.parametrize("name", INTENSITY_SCALINGS)
def test_the_background_is_zero_and_each_contrast_is_scaled_alone(name: str) -> None:
    brain = np.zeros((20, 20, 20), bool)
    brain[2:18, 2:18, 2:18] = True
    image = np.random.default_rng(1).gamma(3, 100, (2, 20, 20, 20)).astype(np.float32)
    alone = INTENSITY_SCALINGS[name](image[1][brain].copy())
    scale_in_brain(image, brain, Step(name=name), ["a", "b"])
    assert not image[:, ~brain].any()
    np.testing.assert_array_equal(image[1][brain], alone)


@pytest.mark.parametrize("name", INTENSITY_SCALINGS)
def test_a_constant_brain_is_refused_by_its_file(name: str) -> None:
    image = np.full((1, 5, 5, 5), 3, np.float32)
    with pytest.raises(BadIntensities, match=r"flair\.nii: .*the same"):
        scale_in_brain(image, np.ones((5, 5, 5), bool), Step(name=name), ["flair.nii"])


def test_unknown_names_and_options_are_the_recipes_fault() -> None:
    with pytest.raises(RecipeError, match="zscore, percentile, equalised"):
        bind(INTENSITY_SCALINGS, Step(name="percentil"))
    with pytest.raises(RecipeError, match="low, high, clip"):
        bind(INTENSITY_SCALINGS, Step(name="percentile", options={"upper": 3}))


def test_standardised_by_hand() -> None:
    values = np.arange(101, dtype=np.float32)  # median 50, P10 10, P90 90
    scaled = robust_zscore(values, high=1.4)
    np.testing.assert_allclose(scaled[[50, 90, 100]], [0, 40 * 2.563 / 80, 1.4], rtol=1e-5)
    normal = np.random.default_rng(0).normal(7, 3, 100_000).astype(np.float32)
    assert robust_zscore(normal).std() == pytest.approx(1, abs=0.01)
