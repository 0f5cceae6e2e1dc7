"""Regions of hand-made tumours, label by label; nested probabilities as label numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anomri.postprocessing import (
    COMBINATION_STEPS,
    Regions,
    SegmentationState,
    StepMap,
    changes_mask,
    nested_labels,
)
from anomri.postprocessing.regions import hull
from anomri.recipe import Step, call
from anomri.scan import Labels, Mask, Threshold

# One axial slice: a frame of enhancing tumour (4) around necrosis (1), open where the hull
# reaches edema (2) no farther than the tumour; a second tumour that does not enhance.
DRAWN = """
. . . . . . . . . . .
. 2 2 2 2 2 2 . . . .
. 2 4 4 4 4 2 . . 2 .
. 2 4 1 1 4 2 . . 2 .
. 2 4 1 1 4 2 . . 2 .
. 2 4 4 4 4 2 . . . .
. 2 2 2 2 2 2 . . . .
"""
SLICE = np.array([line.replace(".", "0").split() for line in DRAWN.split("\n") if line], np.uint8)
TUMOURS: Labels = np.stack([SLICE * 0, SLICE, SLICE, SLICE, SLICE * 0], axis=-1)


def step(labels: Labels, **options: Any) -> Regions:
    """Take the masks of drawn labels apart, and let the step put them together again."""
    return of_masks(labels > 0, labels == 4, **{"smallest_ml": 0, **options})


def note_of(found: Regions) -> str:
    return "" if found.note is None else found.note.text


def of_masks(whole: Mask, enhancing: Mask, **options: Any) -> Regions:
    brain = np.ones_like(whole)
    maps = [
        SegmentationState(mask.astype(np.float32), brain, (1.0, 1.0, 1.0), 1e-3, mask)
        for mask in (whole, enhancing)
    ]
    return hull(*maps, **options)


MOVES = [partial(np.flip, axis=axis) for axis in range(3)]
MOVES += [partial(np.rot90, axes=axes) for axes in [(0, 1), (1, 2), (0, 2)]]
Move = Callable[[NDArray[Any]], NDArray[Any]]


@pytest.mark.parametrize("move", [np.asarray, *MOVES])
def test_a_drawn_tumour_is_found_again(move: Move) -> None:
    labels = np.ascontiguousarray(move(TUMOURS))
    np.testing.assert_array_equal(step(labels).labels, labels)


def test_slice_by_slice_it_is_the_same_tumour() -> None:
    np.testing.assert_array_equal(step(TUMOURS, dims=2).labels, TUMOURS)


def test_in_three_dimensions_caps_close_a_tube() -> None:
    """Enhancement in the outer slices only: a hull of the volume joins them, slices do not."""
    labels = TUMOURS.copy()
    middle = labels[..., 2]
    middle[middle == 4] = 2
    between = step(labels).labels[..., 2]
    assert set(between[SLICE == 4]) == {1}
    assert set(step(labels, dims=2).labels[..., 2][SLICE > 0]) == {2}


def test_the_core_ends_where_the_tumour_ends() -> None:
    """An enhancing horseshoe: its opening belongs to the hull, but not to the tumour."""
    labels = TUMOURS.copy()
    labels[3:5, 3:7] = 0
    found = step(labels).labels
    np.testing.assert_array_equal(found, labels)


def test_a_closed_core_does_not_reach_across_edema() -> None:
    """Two rims at the ends of one tumour: what they hold is core, what lies between is not."""
    labels = np.zeros((40, 16, 9), np.uint8)
    labels[1:39, 1:15, 1:8] = 2
    for start in (3, 27):
        labels[start : start + 10, 3:13, 2:7] = 4
        labels[start + 2 : start + 8, 5:11, 3:6] = 1
    np.testing.assert_array_equal(step(labels, closing_mm=4).labels, labels)
    assert (step(labels).labels[15:25, 5:11, 4] == 1).all()


def test_a_gap_in_the_rim_is_closed() -> None:
    labels = np.full((20, 20, 9), 2, np.uint8)
    labels[3:17, 3:17, 2:7] = 4
    labels[5:15, 5:15, 3:6] = 1
    labels[9:11, 3:5, 2:7] = 2
    closed, kept = (step(labels, closing_mm=mm).labels for mm in (3, 0.5))
    assert (closed[5:15, 5:15, 3:6] == 1).all()
    assert (kept[9:11, 3:5, 4] == 2).all()
    assert (closed[9:11, 4, 4] == 1).all()


def test_enhancement_grows_only_inside_the_tumour() -> None:
    whole = np.zeros((20, 20, 9), bool)
    whole[2:12, 2:18, 1:8] = True
    values = np.where(whole, -1, 1).astype(np.float32)
    values[6:10, 6:12, 3:6] = 2
    values[6:10, 12:14, 3:6] = 1.2
    brain, spacing = np.ones_like(whole), (1.0, 1.0, 1.0)
    maps = [SegmentationState(values, brain, spacing, 1e-3, mask) for mask in (whole, values > 1.5)]
    kept, grown = (
        hull(*maps, smallest_ml=0.001, half_maximum_mm=mm, closing_mm=1).labels for mm in (0, 6)
    )
    assert set(kept[6:10, 12:14, 3:6].ravel()) == {2}
    assert set(grown[6:10, 12:14, 3:6].ravel()) == {4}
    np.testing.assert_array_equal(grown > 0, whole)


def two_tumours() -> Labels:
    labels = np.zeros((30, 12, 5), np.uint8)
    labels[2:9, 2:9, 1:4], labels[20:25, 3:8, 1:4] = 2, 2
    labels[4:7, 4:7, 1:4], labels[21:24, 4:7, 2] = 4, 4
    return labels


def test_what_an_enhancing_rim_encloses_joins_the_tumour() -> None:
    whole = (TUMOURS > 0) & (TUMOURS != 1)  # the necrosis is dark in FLAIR
    whole[5, 2:4, 1:4] = False  # and open to one side, so that filling holes finds nothing
    rim = TUMOURS == 4
    kept = of_masks(whole, rim, dims=2, smallest_ml=0)
    assert not kept.labels[TUMOURS == 1].any()
    joined = of_masks(whole, rim, dims=2, smallest_ml=0, rim_distance_mm=1)
    np.testing.assert_array_equal(joined.labels[TUMOURS == 1], 1)
    np.testing.assert_array_equal(joined.labels[rim], 4)


def test_no_enhancement_adds_nothing() -> None:
    whole = TUMOURS > 0
    labels = of_masks(whole, np.zeros_like(whole), dims=2, rim_distance_mm=2).labels
    np.testing.assert_array_equal(labels, 2 * whole)
    nothing = np.zeros_like(whole)
    assert not of_masks(nothing, whole, dims=2, rim_distance_mm=2).labels.any()


def test_a_vessel_that_only_touches_the_tumour_stays_outside() -> None:
    whole = np.zeros((12, 12, 3), bool)
    whole[1:5, 1:5] = True
    vessel = np.zeros_like(whole)
    vessel[4:12, 4, :] = True
    labels = of_masks(whole, vessel, dims=2, smallest_ml=0, rim_distance_mm=10).labels
    assert not labels[5:].any()


def test_each_tumour_has_a_hull_of_its_own() -> None:
    labels = two_tumours()
    np.testing.assert_array_equal(step(labels).labels, labels)


def test_one_hull_over_all_reaches_from_tumour_to_tumour() -> None:
    labels = two_tumours()
    found = step(labels, tumours="together").labels
    assert (found[7:9, 5, 2] == 1).all()
    assert not found[9:20].any()


def test_the_largest_tumour_alone() -> None:
    labels = two_tumours()
    alone = labels.copy()
    alone[15:] = 0
    np.testing.assert_array_equal(step(labels, tumours="largest").labels, alone)


def test_no_core_is_invented_where_nothing_enhances() -> None:
    labels = np.where(TUMOURS > 0, 2, 0).astype(np.uint8)
    for tumours in ("each", "largest", "together"):
        found = step(labels, tumours=tumours)
        assert set(np.unique(found.labels)) == {0, 2}
        assert "no credible contrast enhancement" in note_of(found)


def test_a_speck_is_no_enhancement() -> None:
    whole = TUMOURS > 0
    speck = np.zeros_like(whole)
    speck[3, 3, 2] = speck[4, 5, 2] = True
    assert 4 not in of_masks(whole, speck, smallest_ml=0.002).labels
    assert 4 in of_masks(whole, speck, smallest_ml=0.001).labels


def test_faint_enhancement_is_not_credible() -> None:
    """Brain of spread 1.4826; the enhancing voxels are 3 robust deviations above its median."""
    brain = np.ones((20, 10, 10), bool)
    values = np.resize(np.array([-1.0, 1.0], np.float32), brain.shape)
    mask = np.zeros_like(brain)
    mask[4:8, 4:8, 4:8] = True
    values[mask] = np.median(values) + 3 * 1.4826
    bright = SegmentationState(values, brain, (1.0, 1.0, 1.0), 1e-3, mask)
    centre, spread = bright.centre_and_spread()
    height = (float(values[mask].mean()) - centre) / spread
    for least, enhances in ((height - 0.01, True), (height + 0.01, False)):
        options: dict[str, Any] = {"least_contrast": least, "smallest_ml": 0}
        found = hull(bright, bright, **options)
        assert (4 in found.labels) == enhances


def test_the_note_counts_the_tumours_without_enhancement() -> None:
    assert step(two_tumours()).note is None
    assert "1 of 2 tumours" in note_of(step(TUMOURS))
    alone = TUMOURS.copy()
    alone[:, 8:] = 0
    alone[alone > 0] = 2
    assert "in the tumour:" in note_of(step(alone))


def test_what_enhances_outside_the_tumour_does_not_count() -> None:
    whole = TUMOURS > 0
    found = of_masks(whole, ~whole, smallest_ml=0)
    np.testing.assert_array_equal(found.labels > 0, whole)
    assert 4 not in found.labels


def test_without_a_tumour_there_is_nothing_to_name() -> None:
    nothing = np.zeros((4, 5, 6), bool)
    for tumours in ("each", "largest", "together"):
        found = of_masks(nothing, ~nothing, tumours=tumours)
        assert not found.labels.any()
        assert found.note is None


def test_each_voxel_gets_the_innermost_region() -> None:
    whole, core, enhancing = (
        [0.9, 0.9, 0.9, 0.2, 0.9],
        [0.1, 0.8, 0.8, 0.9, 0.9],
        [0, 0.1, 0.7, 0.9, 0.9],
    )
    probabilities = np.array([whole, core, enhancing], np.float32).reshape(3, 5, 1, 1)
    mask = np.array([True, True, True, False, False]).reshape(5, 1, 1)
    labels = nested_labels(probabilities, 0.5, mask)
    assert labels.dtype == np.uint8
    assert labels.ravel().tolist() == [2, 1, 4, 0, 0]


def hardly_enhancing(share: float) -> tuple[Mask, Mask, NDArray[np.float32]]:
    """A ball of 6 mm with a dark ball of 4 mm in it, dark specks, and some enhancement."""
    away = np.linalg.norm(np.indices((21, 21, 21)) - 10, axis=0)
    tumour = away <= 6
    values = np.random.default_rng(0).normal(0, 0.1, tumour.shape).astype(np.float32)
    values[np.linalg.norm(np.indices((21, 21, 21)) - np.array([[[[9]]]] * 3), axis=0) <= 4] = -3
    values[10, 16, 10] = -3
    values[0:4, 0:4, 0:4] = -3  # dark, but no tumour
    bright = np.zeros_like(tumour)
    flat = np.flatnonzero(tumour & (away > 5.5))[: int(share * tumour.sum())]
    bright.flat[flat] = True
    values[bright] = 5
    return tumour, bright, values


def regions_of(share: float, **options: Any) -> Regions:
    whole, enhancing, values = hardly_enhancing(share)
    brain, spacing = np.ones_like(whole), (1.0, 1.0, 1.0)
    maps = [
        SegmentationState(whole.astype(np.float32), brain, spacing, 1e-3, whole),
        SegmentationState(values, brain, spacing, 1e-3, enhancing),
    ]
    options = {"smallest_ml": 0, "min_enhancing_fraction": 0.05, "necrosis_sd": 10, **options}
    return hull(*maps, **options)


@pytest.mark.parametrize("share", [0, 0.03])
def test_where_hardly_anything_enhances_what_is_dark_is_core(share: float) -> None:
    whole, enhancing, values = hardly_enhancing(share)
    found = regions_of(share)
    core = np.isin(found.labels, (1, 4))
    dark = whole & (values < -1)
    assert core[9, 9, 9]
    assert not core[~whole].any()
    assert not core[10, 16, 10]  # a speck
    assert (core & dark).sum() > 0.9 * dark.sum()
    assert ((found.labels == 4) == enhancing).all()
    assert "dark" in note_of(found)


def test_a_tumour_that_enhances_has_no_dark_core() -> None:
    """Its dark parts are edema, as far as the hull does not reach them."""
    with_it, without = regions_of(0.08), regions_of(0.08, min_enhancing_fraction=0)
    np.testing.assert_array_equal(with_it.labels, without.labels)
    assert with_it.note == without.note


def with_vessel(min_enhancing_fraction: float) -> tuple[Labels, Mask, Mask]:
    """A tumour of 1,000 voxels with a nodule of 8, and a vessel with 4 of its 14 voxels in it."""
    whole, nodule, vessel = (np.zeros((24, 14, 14), dtype=bool) for _ in range(3))
    whole[2:12, 2:12, 2:12] = True
    nodule[4:6, 4:6, 4:6] = True
    vessel[8:22, 9, 9] = True
    options = {"smallest_ml": 0, "min_enhancing_fraction": min_enhancing_fraction}
    found = of_masks(whole, nodule | vessel, **options)
    return found.labels, nodule, vessel & whole


def test_where_little_enhances_what_continues_outside_is_a_vessel() -> None:
    labels, nodule, _ = with_vessel(0.013)
    np.testing.assert_array_equal(labels == 4, nodule)


@pytest.mark.parametrize("fraction", [0, 0.012])
def test_where_more_enhances_vessels_are_not_told_apart(fraction: float) -> None:
    labels, nodule, vessel = with_vessel(fraction)
    np.testing.assert_array_equal(labels == 4, nodule | vessel)


def unused(_name: str) -> Threshold:
    raise AssertionError("regions are named from the mask of their map")


def test_option_names_of_the_previous_version_give_the_same_labels() -> None:
    whole, enhancing, values = hardly_enhancing(0.03)
    brain, spacing = np.ones_like(whole), (1.0, 1.0, 1.0)
    maps = [
        SegmentationState(whole.astype(np.float32), brain, spacing, 1e-3, whole),
        SegmentationState(values, brain, spacing, 1e-3, enhancing),
    ]
    old = {"reach_mm": 2, "hardly": 0.05, "darker": 10, "mass_mm": 6}
    names = ("rim_distance_mm", "min_enhancing_fraction", "necrosis_sd", "min_mass_radius_mm")
    whole_state, enhancing_state = maps
    second = StepMap("enhancement", {}, unused, lambda _: enhancing_state)
    before, after = (
        call(
            COMBINATION_STEPS,
            Step(name="name_regions", options={"smallest_ml": 0, **options}),
            whole_state,
            second,
        ).regions
        for options in (old, dict(zip(names, old.values(), strict=True)))
    )
    assert after is not None
    np.testing.assert_array_equal(before, after)
    assert (after == 1).any()  # a dark core, which needs all four options


def test_only_a_mass_has_a_dark_core() -> None:
    assert (regions_of(0, min_mass_radius_mm=6).labels == 1).any()
    assert not (regions_of(0, min_mass_radius_mm=8).labels == 1).any()
    assert "no core" in note_of(regions_of(0, min_mass_radius_mm=8))


def test_without_being_asked_no_core_is_invented() -> None:
    assert not (regions_of(0, min_enhancing_fraction=0).labels == 1).any()


@pytest.mark.parametrize(
    ("options", "may_change"),
    [({}, False), ({"dims": 2, "closing_mm": 2}, False), ({"tumours": "largest"}, True)],
)
def test_a_step_that_names_regions_says_whether_it_changes_the_mask(
    options: dict[str, Any], may_change: bool
) -> None:
    assert changes_mask(Step(name="name_regions", options=options)) is may_change
    assert np.array_equal(step(TUMOURS, **options).labels > 0, TUMOURS > 0) is not may_change


def test_a_rim_by_its_old_name_may_change_the_mask_too() -> None:
    assert changes_mask(Step(name="name_regions", options={"reach_mm": 2}))
    assert changes_mask(Step(name="enclose"))
