"""Division by the local mean on brains whose field is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from anomri.postprocessing.local_mean import divide_by_local_mean

SHAPE, SPACING = (30, 40, 20), (4.0, 4.0, 8.0)
RNG = np.random.default_rng(0)
X = (np.indices(SHAPE)[0] - 14.5) / 15  # from -1 to 1
TISSUE = 100 + RNG.normal(0, 5, SHAPE)


def test_an_even_brain_becomes_1(state_of: Any) -> None:
    flat = divide_by_local_mean(state_of(TISSUE, spacing=SPACING), sigma_mm=20).values
    np.testing.assert_allclose(flat, TISSUE / 100, atol=0.03)


def test_a_coil_at_one_side_is_divided_out(state_of: Any) -> None:
    state = state_of(TISSUE * np.exp(0.4 * X), spacing=SPACING)
    flat = divide_by_local_mean(state, sigma_mm=20).values
    left, right = flat[2:12].mean(), flat[18:28].mean()
    before = state.values[2:12].mean() / state.values[18:28].mean()
    assert before < 0.7
    assert 0.9 < left / right < 1.1


def test_enhancement_and_fluid_do_not_change_the_mean_around_them(state_of: Any) -> None:
    """Two voxels in a hundred enhance, and four are fluid: neither is tissue."""
    drawn = RNG.random(SHAPE)
    enhancing, fluid = drawn < 0.02, drawn > 0.96
    image = np.where(enhancing, 300, np.where(fluid, 10, TISSUE))
    flat = divide_by_local_mean(state_of(image, spacing=SPACING), sigma_mm=20).values
    tissue = ~(enhancing | fluid)
    np.testing.assert_allclose(flat[tissue], TISSUE[tissue] / 100, atol=0.05)
    np.testing.assert_allclose(flat[enhancing], 3, atol=0.15)


def test_a_map_without_positive_tissue_is_left_as_it_is(state_of: Any) -> None:
    state = state_of(-TISSUE, spacing=SPACING)
    np.testing.assert_array_equal(divide_by_local_mean(state, sigma_mm=20).values, state.values)


def test_values_between_the_voxels_of_the_lattice_are_interpolated(state_of: Any) -> None:
    """On voxels of 1 mm the mean is computed every 4 mm; a ramp stays a ramp between."""
    ramp = np.broadcast_to(np.linspace(100, 110, 41)[:, None, None], (41, 21, 21))
    flat = divide_by_local_mean(state_of(ramp), sigma_mm=4).values
    steps = np.diff(flat[16:25, 10, 10])  # a step of the lattice and its neighbours
    assert np.abs(steps - steps.mean()).max() < 1e-3
