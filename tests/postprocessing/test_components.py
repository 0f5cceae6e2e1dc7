"""Components and findings against scikit-image and hand-drawn lesions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from skimage import measure, morphology

from anomri.postprocessing import SegmentationState, findings
from anomri.postprocessing.components import keep_large, largest, remove_small
from anomri.scan import AnomalyMap, Grid, Scan

masks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=8), elements=st.booleans())


@settings(deadline=None)
@given(mask=masks, voxels=st.integers(1, 20))
def test_small_components_go_as_in_scikit_image(mask: NDArray[np.bool_], voxels: int) -> None:
    state = SegmentationState(
        mask.astype(np.float32), np.ones_like(mask), (1.0, 1.0, 1.0), 1e-3, mask
    )
    labels = measure.label(mask, connectivity=3)
    sizes = np.bincount(labels.ravel())
    expected = mask & (sizes[labels] >= voxels)
    kept = remove_small(state, ml=voxels * 1e-3).lesion
    np.testing.assert_array_equal(kept, expected)
    assert morphology.reconstruction(kept, mask).astype(bool).sum() == kept.sum()


def test_voxels_that_touch_by_a_corner_belong_together(state_of: Any) -> None:
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[3, 3, 3] = True
    kept = remove_small(state_of(mask=mask), ml=0.002).lesion
    assert kept[0, 0, 0]
    assert kept[1, 1, 1]
    assert not kept[3, 3, 3]


def test_small_is_meant_in_millilitres(state_of: Any) -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[2:4, 2:4, 2:4] = True  # 8 voxels
    for side, volume in ((1.0, 0.008), (2.0, 0.064)):
        state = state_of(mask=mask, spacing=(side,) * 3)
        assert remove_small(state, ml=volume).lesion.any()
        assert not remove_small(state, ml=volume * 1.01).lesion.any()


def test_largest_keeps_the_largest_and_its_equals(state_of: Any) -> None:
    mask = np.zeros((12, 3, 3), bool)
    mask[0:4], mask[5:7], mask[8:10], mask[11] = True, True, True, True
    one = largest(state_of(mask=mask)).lesion
    np.testing.assert_array_equal(one[:, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    two = largest(state_of(mask=mask), keep=2).lesion
    np.testing.assert_array_equal(two[:, 1, 1], [1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(largest(state_of(mask=mask), keep=9).lesion, mask)


def test_each_slice_keeps_what_is_large_in_it(state_of: Any) -> None:
    mask = np.zeros((20, 4, 3), bool)
    mask[0:10, 0, 0], mask[12:18, 0, 0], mask[0:5, 3, 0] = True, True, True  # 10, 6 and 5 voxels
    mask[0:3, 0, 1] = True  # alone in its slice, though it touches the ten above
    kept = keep_large(state_of(mask=mask), share=0.6).lesion
    assert kept.sum(axis=(0, 1)).tolist() == [16, 3, 0]
    assert not kept[:, 3].any()
    np.testing.assert_array_equal(keep_large(state_of(mask=mask), share=0.5).lesion, mask)
    assert keep_large(state_of(mask=mask), share=1).lesion.sum() == 13


@settings(deadline=None)
@given(mask=masks, share=st.sampled_from([0.0, 0.3, 0.6, 1.0]))
def test_large_components_of_slices_are_those_of_scikit_image(
    mask: NDArray[np.bool_], share: float
) -> None:
    state = SegmentationState(
        mask.astype(np.float32), np.ones_like(mask), (1.0, 1.0, 1.0), 1e-3, mask
    )
    kept = keep_large(state, share=share).lesion
    for k in range(mask.shape[2]):
        labels = measure.label(mask[:, :, k], connectivity=2)
        sizes = np.bincount(labels.ravel())
        largest_size = sizes[1:].max(initial=0)
        expected = mask[:, :, k] & (sizes[labels] >= share * largest_size)
        np.testing.assert_array_equal(kept[:, :, k], expected)


@pytest.fixture
def two_lesions(ball_scan: Scan) -> tuple[AnomalyMap, NDArray[np.bool_]]:
    values = np.zeros_like(ball_scan.image)
    mask = np.zeros(ball_scan.brain.shape, bool)
    mask[20:22, 20, 20] = True
    mask[30:33, 26:28, 22] = True
    values[0, 31, 27, 22], values[0, 20, 20, 20], values[0, 5, 5, 5] = 7, 4, 99
    anomaly = AnomalyMap(scan=ball_scan, values=values, reconstruction=values * 0, score="residual")
    return anomaly, mask


def test_findings_are_listed_largest_first(
    two_lesions: tuple[AnomalyMap, NDArray[np.bool_]],
) -> None:
    anomaly, mask = two_lesions
    large, small = findings(mask, anomaly)
    assert (large.number, small.number) == (1, 2)
    assert large.volume_ml == pytest.approx(6 * 0.008)
    assert small.volume_ml == pytest.approx(2 * 0.008)
    assert (large.peak, small.peak) == (7, 4)
    assert large.centre_mm == pytest.approx((62, 53, 44))
    assert small.centre_mm == pytest.approx((41, 40, 40))


def test_findings_lie_in_the_world_of_the_file(
    two_lesions: tuple[AnomalyMap, NDArray[np.bool_]],
) -> None:
    anomaly, mask = two_lesions
    # Turned by 90 degrees around K, moved, slices 3 mm apart.
    affine = np.array([[0, -2, 0, 10], [2, 0, 0, -5], [0, 0, 3, 1], [0, 0, 0, 1]], float)
    grid = Grid(shape=anomaly.scan.grid.shape, affine=affine)
    turned = replace(anomaly, scan=replace(anomaly.scan, grid=grid))
    large, _ = findings(mask, turned)
    assert large.volume_ml == pytest.approx(6 * 0.012)
    assert large.centre_mm == pytest.approx((-2 * 26.5 + 10, 2 * 31 - 5, 3 * 22 + 1))


def test_peak_is_taken_over_all_contrasts(
    two_lesions: tuple[AnomalyMap, NDArray[np.bool_]],
) -> None:
    anomaly, mask = two_lesions
    second = np.zeros_like(anomaly.values)
    second[0, 32, 26, 22] = 11
    both = replace(anomaly, values=np.concatenate([anomaly.values, second]))
    assert findings(mask, both)[0].peak == 11


def test_an_empty_mask_has_no_findings(
    two_lesions: tuple[AnomalyMap, NDArray[np.bool_]],
) -> None:
    anomaly, mask = two_lesions
    assert findings(mask & False, anomaly) == ()


def test_a_lesion_has_the_range_of_what_it_overlaps(
    two_lesions: tuple[AnomalyMap, NDArray[np.bool_]],
) -> None:
    """By hand, voxels of 0.008 ml: 6 and 2 voxels; 8 in one piece below, 3 and none above."""
    anomaly, mask = two_lesions
    lower, higher = mask.copy(), np.zeros_like(mask)
    lower[30:32, 28, 22], lower[40, 45, 40] = True, True  # two more, and one far away
    higher[30:33, 26, 22] = True
    large, small = findings(mask, anomaly, (lower, higher))
    assert large.range_ml == pytest.approx((3 * 0.008, 8 * 0.008))
    assert large.threshold_stability == pytest.approx(3 / 8)
    assert small.range_ml == pytest.approx((0, 2 * 0.008))
    assert small.threshold_stability == 0
    assert findings(mask, anomaly)[0].range_ml is None
    assert findings(mask, anomaly)[0].threshold_stability is None


def test_lesions_that_merge_share_the_larger_volume(
    two_lesions: tuple[AnomalyMap, NDArray[np.bool_]],
) -> None:
    anomaly, mask = two_lesions
    bridged = mask.copy()
    bridged[20:33, 20, 20], bridged[32, 20:28, 20:23] = True, True
    for finding in findings(mask, anomaly, (bridged, mask)):
        assert finding.range_ml == pytest.approx((finding.volume_ml, bridged.sum() * 0.008))
