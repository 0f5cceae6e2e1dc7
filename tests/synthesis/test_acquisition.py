"""Effects of random acquisition on images."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.synthesis import Scanner
from anomri.synthesis.acquisition import add_noise, crop_field_of_view, thicken_slices


def test_thick_slices_leave_an_even_image_even_and_blur_along_one_axis() -> None:
    scanner = Scanner(slice_mm=(8.0, 8.0), gain=0.0)
    even = np.ones((20, 20, 20), np.float32)
    np.testing.assert_allclose(
        thicken_slices(even, 2.0, scanner, np.random.default_rng(5)), 1, rtol=1e-6
    )
    points = np.zeros((21, 21, 21), np.float32)
    points[10, 10, 10] = 1
    spread = np.argwhere(thicken_slices(points, 2.0, scanner, np.random.default_rng(5)))
    assert sorted((np.ptp(spread, axis=0) > 0).tolist()) == [False, False, True]


def test_noise_in_air_has_the_mean_of_rayleigh() -> None:
    r"""Without signal the magnitude's mean is :math:`\sigma\sqrt{\pi/2}` (Gudbjartsson 1995)."""
    image = np.zeros((40, 40, 40), np.float32)
    image[:20] = 100
    for seed in range(20):
        draw = np.random.default_rng(seed)
        kind, share = draw.random(), draw.uniform(0, 0.1)
        noisy = add_noise(image, 0.1, np.random.default_rng(seed))
        if kind < 0.66:
            assert (noisy[20:] == 0).all()
        else:
            assert noisy[20:].mean() == pytest.approx(share * 100 * np.sqrt(np.pi / 2), rel=0.02)


def test_beyond_the_field_of_view_nothing_is_measured() -> None:
    image = np.ones((30, 30, 30), np.float32)
    lost = 0
    for seed in range(10):
        measured, seen = crop_field_of_view(
            image, 4.0, Scanner(cut=1.0), np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(measured > 0, seen)
        lost += int(not seen.all())
    assert lost >= 5
