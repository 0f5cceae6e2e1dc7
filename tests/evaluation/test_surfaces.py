from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from anomri.evaluation import surface_distance
from anomri.scan import Mask

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the libraries that MONAI imports
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_distance import compute_average_surface_distance

SHAPE = (17, 14, 11)
spacings = st.tuples(*[st.sampled_from([0.5, 1.0, 2.25, 7.0])] * 3)
seeds = st.integers(0, 2**20)


def blobs(seed: int, level: float = 0.5) -> Mask:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.5)
    mask: NDArray[np.bool_] = noise > level * noise.max()
    return mask


def as_monai(mask: Mask) -> torch.Tensor:
    return torch.from_numpy(mask[None, None].astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(seeds, seeds, spacings)
def test_against_monai(first: int, second: int, spacing: tuple[float, float, float]) -> None:
    mask, truth = blobs(first), blobs(second, 0.3)
    found = surface_distance(mask, truth, spacing)
    pair = as_monai(mask), as_monai(truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hd95 = compute_hausdorff_distance(*pair, percentile=95, spacing=spacing)
        mean = compute_average_surface_distance(*pair, symmetric=True, spacing=spacing)
    assert found.hd95_mm == pytest.approx(float(hd95), rel=1e-5)
    assert found.mean_mm == pytest.approx(float(mean), rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(seeds, seeds, spacings, st.floats(0.1, 10))
def test_symmetric_scaled_and_flipped(
    first: int, second: int, spacing: tuple[float, float, float], factor: float
) -> None:
    mask, truth = blobs(first), blobs(second)
    found = surface_distance(mask, truth, spacing)
    assert surface_distance(truth, mask, spacing).hd95_mm == found.hd95_mm
    i, j, k = spacing
    wider = surface_distance(mask, truth, (i * factor, j * factor, k * factor))
    assert wider.hd95_mm == pytest.approx(found.hd95_mm * factor)
    assert wider.mean_mm == pytest.approx(found.mean_mm * factor)
    flipped = surface_distance(mask[::-1, :, ::-1], truth[::-1, :, ::-1], spacing)
    assert flipped.hd95_mm == pytest.approx(found.hd95_mm)


def voxel(*index: int) -> Mask:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[index] = True
    return mask


def test_two_voxels_by_hand() -> None:
    found = surface_distance(voxel(2, 3, 4), voxel(5, 3, 6), (1.0, 9.0, 2.0))
    assert found.hd95_mm == found.mean_mm == pytest.approx(5.0)  # 3 mm and 4 mm


def test_percentile_is_taken_per_direction() -> None:
    truth = voxel(0, 0, 0)
    mask = truth.copy()
    mask[:, 0, 0] = True  # a line of 17, distances 0 to 16 there, 0 back
    found = surface_distance(mask, truth, (1.0, 1.0, 1.0))
    assert found.hd95_mm == pytest.approx(np.percentile(np.arange(17), 95))
    assert found.mean_mm == pytest.approx(np.sum(np.arange(17)) / 18)


def test_inside_of_a_mask_is_no_surface() -> None:
    solid = np.zeros(SHAPE, dtype=bool)
    solid[2:9, 2:9, 2:9] = True
    hollow = solid & ~ndimage.binary_erosion(solid)
    filled, shell = (surface_distance(m, voxel(5, 5, 5), (1.0, 1.0, 1.0)) for m in (solid, hollow))
    assert filled.mean_mm == shell.mean_mm >= 3


def test_equal_masks_touch() -> None:
    found = surface_distance(blobs(3), blobs(3), (1.0, 2.0, 3.0))
    assert (found.hd95_mm, found.mean_mm) == (0.0, 0.0)


def test_empty_masks_are_never_dropped() -> None:
    empty, spacing = np.zeros(SHAPE, dtype=bool), (1.0, 2.0, 3.0)
    diagonal = np.sqrt(17**2 + 28**2 + 33**2)
    for mask, truth in ((empty, blobs(1)), (blobs(1), empty)):
        found = surface_distance(mask, truth, spacing)
        assert found.hd95_mm == found.mean_mm == pytest.approx(diagonal)
        assert surface_distance(mask, truth, spacing, missed_mm=99.0).hd95_mm == 99.0
        undefined = surface_distance(mask, truth, spacing, missed_mm=float("nan"))
        assert np.isnan(undefined.hd95_mm)
    assert surface_distance(empty, empty, spacing).hd95_mm == 0.0
    assert surface_distance(empty, empty, spacing, missed_mm=float("nan")).mean_mm == 0.0
    assert surface_distance(empty, empty, spacing, missed_mm=99.0).mean_mm == 0.0
