"""Effects of random acquisition on images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anomri.synthesis import RandomStreams, Scanner
from anomri.synthesis.acquisition import add_noise, percentile, thicken_slices


def streams(count: int) -> RandomStreams:
    return RandomStreams([[seed] for seed in range(count)], torch.device("cpu"))


def test_thick_slices_leave_an_even_image_even_and_blur_along_one_axis() -> None:
    scanner = Scanner(slice_mm=(8.0, 8.0), gain=0.0)
    even = torch.ones(12, 20, 20, 20)
    torch.testing.assert_close(thicken_slices(even, 2.0, scanner, streams(12)), even)
    points = torch.zeros(12, 21, 21, 21)
    points[:, 10, 10, 10] = 1
    axes = []
    for volume in thicken_slices(points, 2.0, scanner, streams(12)):
        spread = np.ptp(volume.nonzero().numpy(), axis=0) > 0
        assert spread.sum() == 1
        axes.append(int(spread.argmax()))
    assert 5 <= axes.count(2) < 12


def test_noise_in_air_has_the_mean_of_rayleigh() -> None:
    r"""Without signal the magnitude's mean is :math:`\sigma\sqrt{\pi/2}` (Gudbjartsson 1995)."""
    images = torch.zeros(20, 30, 30, 30)
    images[:, :15] = 100
    random = streams(20)
    kinds, shares = random.numbers(), random.uniform(0, 0.1).flatten().tolist()
    for kind, share, noisy in zip(kinds, shares, add_noise(images, 0.1, streams(20)), strict=True):
        if kind < 0.66:
            assert (noisy[15:] == 0).all()
        else:
            expected = share * 100 * np.sqrt(np.pi / 2)
            assert float(noisy[15:].mean()) == pytest.approx(expected, rel=0.03)


def test_a_percentile_is_that_of_numpy_without_interpolation() -> None:
    images = torch.rand(3, 7, 8, 9)
    found = percentile(images, 99).flatten()
    expected = np.percentile(images.flatten(1), 99, axis=1, method="nearest")
    np.testing.assert_allclose(found, expected, rtol=1e-3)
