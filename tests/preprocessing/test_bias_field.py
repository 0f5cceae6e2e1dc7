from __future__ import annotations

import numpy as np
import pytest

from anomri.errors import RecipeError
from anomri.preprocessing.bias_field import BIAS_CORRECTIONS, NOT_POSITIVE, correct_bias_field, n4
from anomri.recipe import Step
from anomri.scan import Mask, Volume

SHAPE = (60, 64, 56)
SPACING = (2.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def tissue(brain_ball: Mask) -> Volume:
    """Two tissues with little noise."""
    rng = np.random.default_rng(0)
    grey = np.indices(SHAPE).sum(axis=0) // 6 % 2 == 0
    values = np.where(grey, 300, 420) + rng.normal(0, 5, SHAPE)
    return np.where(brain_ball, values, 0).astype(np.float32)


@pytest.fixture(scope="module")
def field() -> Volume:
    i, j, _ = np.indices(SHAPE) / 60
    bright: Volume = np.exp(0.5 * (i - 0.5) - 0.4 * (j - 0.5) ** 2).astype(np.float32)
    return bright


def test_a_field_that_was_put_in_is_taken_out(
    tissue: Volume, field: Volume, brain_ball: Mask
) -> None:
    corrected = n4(tissue * field, brain_ball, SPACING)
    left = corrected[brain_ball] / tissue[brain_ball]
    there = field[brain_ball]
    assert np.std(left) / np.mean(left) < 0.35 * np.std(there) / np.mean(there)


def test_the_brains_median_stays(tissue: Volume, field: Volume, brain_ball: Mask) -> None:
    seen = tissue * field
    corrected = n4(seen, brain_ball, SPACING)
    assert np.isfinite(corrected).all()
    assert np.median(corrected[brain_ball]) == pytest.approx(np.median(seen[brain_ball]), rel=1e-5)


def test_it_is_the_same_each_time_and_leaves_its_input(
    tissue: Volume, field: Volume, brain_ball: Mask
) -> None:
    seen = tissue * field
    before = seen.copy()
    once, again = (n4(seen, brain_ball, SPACING, iterations=5) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(seen, before)


def test_a_flat_brain_stays_flat(brain_ball: Mask) -> None:
    noise = np.random.default_rng(1).normal(0, 3, SHAPE)
    flat = np.where(brain_ball, 200 + noise, 0).astype(np.float32)
    ratio = n4(flat, brain_ball, SPACING, iterations=10)[brain_ball] / flat[brain_ball]
    assert ratio.std() < 0.01


def test_thick_slices_are_not_shrunken_away(tissue: Volume, brain_ball: Mask) -> None:
    thin = slice(None, None, 5)
    corrected = n4(tissue[:, :, thin], brain_ball[:, :, thin], (2.0, 2.0, 10.0), iterations=5)
    assert np.isfinite(corrected).all()


def test_standardised_values_are_left_alone_and_that_is_said(
    tissue: Volume, brain_ball: Mask
) -> None:
    standard = tissue - np.float32(360)
    same, notes = correct_bias_field(standard, brain_ball, SPACING, Step(name="n4"), "flair.nii.gz")
    assert same is standard
    assert notes == [NOT_POSITIVE]


def test_an_unknown_correction_is_a_recipe_error(tissue: Volume, brain_ball: Mask) -> None:
    with pytest.raises(RecipeError, match="n4"):
        correct_bias_field(tissue, brain_ball, SPACING, Step(name="n3"), "flair.nii.gz")
    assert set(BIAS_CORRECTIONS) == {"n4"}
