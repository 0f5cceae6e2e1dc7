"""The smooth field of a map whose field is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anomri.postprocessing.smooth_field import subtract_field

SHAPE, SPACING = (30, 40, 20), (4.0, 4.0, 8.0)
NOISE = np.random.default_rng(0).normal(0, 0.3, SHAPE)


def coordinates() -> NDArray[np.float64]:
    """(3, I, J, K) in units of the fit, from the middle of the array."""
    half = (np.reshape(SHAPE, (3, 1, 1, 1)) - 1) / 2
    return np.asarray((np.indices(SHAPE) - half) * np.reshape(SPACING, (3, 1, 1, 1)) / 80)


def field_of(state_of: Any, values: NDArray[np.float64], degree: int, **options: Any) -> Any:
    state = state_of(values, spacing=SPACING, **options)
    return state.values - subtract_field(state, degree=degree).values


def test_half_of_a_plane_goes_with_degree_1_and_two_thirds_with_degree_2(state_of: Any) -> None:
    """The polynomials of degree 1 and 2 both follow a plane; that of degree 0 is 0."""
    x, _, z = coordinates()
    plane = 0.8 * x - 0.5 * z
    for degree, share in ((1, 1 / 2), (2, 2 / 3)):
        np.testing.assert_allclose(field_of(state_of, plane, degree), share * plane, atol=1e-4)


def test_a_paraboloid_needs_degree_2(state_of: Any) -> None:
    """Of an even function the plane takes the mean alone."""
    x, y, _ = coordinates()
    bowl = x**2 + x * y
    found = field_of(state_of, bowl, 2)
    plane = 2 * field_of(state_of, bowl, 1)
    np.testing.assert_allclose(found, (bowl + plane) / 3, atol=1e-4)


def test_a_bright_lesion_is_left_out_of_the_fit(state_of: Any) -> None:
    x, y, _ = coordinates()
    plane = 0.8 * x + NOISE
    lesion = (x > 0.2) & (y > 0.2)
    with_lesion = field_of(state_of, np.where(lesion, plane + 6, plane), 2)
    assert np.abs(with_lesion - 0.8 * x * 2 / 3).max() < 0.1


def test_values_outside_the_brain_stay_0(state_of: Any) -> None:
    x, y, _ = coordinates()
    brain = np.hypot(x, y) < 0.4
    state = state_of(np.where(brain, x, 0), brain=brain, spacing=SPACING)
    assert not subtract_field(state, degree=2).values[~brain].any()


@pytest.mark.parametrize("degree", [1, 2])
def test_a_brain_too_small_for_a_field_is_left_alone(state_of: Any, degree: int) -> None:
    state = state_of(np.arange(27.0).reshape(3, 3, 3) / 20)
    np.testing.assert_array_equal(subtract_field(state, degree=degree).values, state.values)
