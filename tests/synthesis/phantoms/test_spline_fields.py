from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline

from anomri.synthesis.phantoms.spline_fields import _basis, smooth_field


def test_every_voxel_is_standard_normal() -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([smooth_field(rng, (7, 9, 8), knots=4.0) for _ in range(3000)])
    # Standard errors: 0.018 of the mean, 0.013 of the deviation; five of them are allowed.
    assert np.abs(fields.mean(axis=0)).max() < 0.092
    assert np.abs(fields.std(axis=0) - 1).max() < 0.066


@pytest.mark.parametrize("knots", [2.5, 4.0, 11.0])
def test_weights_are_cubic_b_splines(knots: float) -> None:
    ours = _basis(23, knots)
    spline = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)
    position = np.arange(23)[:, None] / knots - (np.arange(ours.shape[1])[None] - 1)
    reference = np.nan_to_num(spline(position))
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    np.testing.assert_allclose(ours, reference, atol=1e-6)


def test_shape_is_kept_axis_by_axis_and_neighbours_are_alike() -> None:
    field = smooth_field(np.random.default_rng(1), (30, 20, 10), knots=8.0)
    assert field.shape == (30, 20, 10)
    assert field.dtype == np.float32
    steps = np.concatenate([np.abs(np.diff(field, axis=axis)).ravel() for axis in range(3)])
    assert steps.max() < 0.8
    assert np.abs(field).max() > 1


def test_the_same_generator_gives_the_same_field() -> None:
    first, second = (smooth_field(np.random.default_rng(5), (9, 9, 9), knots=3.0) for _ in "ab")
    np.testing.assert_array_equal(first, second)
