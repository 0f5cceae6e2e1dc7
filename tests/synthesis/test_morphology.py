"""Distances, components and neighbours against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from anomri.synthesis import dilate, erode
from anomri.synthesis.morphology import depth_mm, distance_mm, largest
from anomri.synthesis.random_fields import blur

CROSS = ndimage.generate_binary_structure(3, 1)


@pytest.fixture(scope="module")
def masks() -> torch.Tensor:
    """Blobs, a winding path and nothing."""
    draw = np.random.default_rng(0)
    blobs = ndimage.gaussian_filter(draw.standard_normal((24, 30, 28)), 2) > 0.05
    path = np.zeros_like(blobs)
    path[2, 2:28, 2] = path[2:20, 27, 2] = path[19, 5:28, 2] = path[5:20, 5, 2] = True
    path[10:13, 10:14, 10:14] = True
    return torch.from_numpy(np.stack([blobs, path, np.zeros_like(blobs)]))


def test_distances_are_exact_up_to_the_limit(masks: torch.Tensor) -> None:
    for found, mask in zip(distance_mm(masks, 2.0, 15.0), masks, strict=True):
        exact = ndimage.distance_transform_edt(~mask.numpy(), sampling=2.0)
        expected = exact.clip(max=15) if mask.any() else np.full(mask.shape, 15)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    for found, mask in zip(depth_mm(masks, 2.0, 30.0), masks, strict=True):
        expected = ndimage.distance_transform_edt(mask.numpy(), sampling=2.0)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_largest_component_is_that_of_scipy(masks: torch.Tensor) -> None:
    for found, mask in zip(largest(masks), masks, strict=True):
        labels, _ = ndimage.label(mask.numpy())
        sizes = np.bincount(labels.ravel(), minlength=2)
        expected = labels == 1 + sizes[1:].argmax()
        np.testing.assert_array_equal(found, expected & mask.numpy())


def test_masks_shrink_and_grow_as_in_scipy(masks: torch.Tensor) -> None:
    for eroded, dilated, mask in zip(erode(masks), dilate(masks), masks, strict=True):
        np.testing.assert_array_equal(eroded, ndimage.binary_erosion(mask.numpy(), CROSS))
        np.testing.assert_array_equal(dilated, ndimage.binary_dilation(mask.numpy(), CROSS))


@pytest.mark.parametrize("sigma", [0.5, 1.7])
def test_a_blur_is_that_of_scipy(sigma: float) -> None:
    volumes = torch.rand(2, 11, 14, 9)
    for found, volume in zip(blur(volumes, [sigma, sigma]), volumes, strict=True):
        expected = ndimage.gaussian_filter(volume.numpy(), sigma, mode="nearest", truncate=2.5)
        np.testing.assert_allclose(found, expected, atol=1e-5)
