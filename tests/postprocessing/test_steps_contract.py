"""What every step and every decision keeps, whatever it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from anomri.postprocessing import (
    MAP_STEPS,
    MASK_STEPS,
    RULES,
    SEGMENTATION_METHODS,
    STEPS,
    SegmentationState,
)
from anomri.recipe import Step, call

OPTIONS: dict[str, dict[str, Any]] = {
    "erode_brain": {"mm": 2},
    "median": {"size_mm": 3},
    "smooth": {"sigma_mm": 1.5},
    "standardise": {},
    "subtract_field": {"degree": 1},
    "divide_by_local_mean": {"sigma_mm": 5},
    "open": {"mm": 1},
    "close": {"mm": 2},
    "dilate": {"mm": 1},
    "fill_holes": {},
    "remove_small": {"ml": 0.004},
    "remove_superficial": {"rim_mm": 1, "within_mm": 2},
    "remove_faint": {"share": 0.8, "core_above": 1, "max_level": 9},
    "largest": {"keep": 2},
    "keep_large": {"share": 0.5},
    "above": {},
    "hysteresis": {"low": 0.5},
    "grow": {"smallest_core_ml": 0.002},
    "half_maximum": {"min_level": 0.5, "reach_mm": 3, "tissue_sigma_mm": 1},
    "mixture": {},
}
SPACINGS = ((1.0, 1.0, 1.0), (0.9, 1.1, 8.0), (4.0, 1.0, 1.0))

Change = Callable[[SegmentationState], SegmentationState]


def scene(spacing: tuple[float, float, float], seed: int = 0) -> SegmentationState:
    """A noisy map with blobs in a brain that touches the border and has holes."""
    rng = np.random.default_rng(seed)
    shape = (15, 13, 9)
    blobs = ndimage.gaussian_filter(rng.normal(size=shape), 1.2) * 8
    brain = ndimage.gaussian_filter(rng.normal(size=shape), 2) > -0.08
    brain[3:10, 3:10, 3:6] = True
    values = np.where(brain, blobs + rng.normal(0, 0.3, shape), 0).astype(np.float32)
    mask = values > 1
    mask[4:9, 4:9, 4] = True
    mask[6, 6, 4] = False
    mask &= brain
    return SegmentationState(values, brain, spacing, float(np.prod(spacing)) * 1e-3, mask)


def change_of(name: str) -> Change:
    step = Step(name=name, options=OPTIONS[name])
    if name in SEGMENTATION_METHODS:
        return lambda state: call(SEGMENTATION_METHODS, step, state, 1.5)
    return partial(call, STEPS, step)


def moved(state: SegmentationState, move: Callable[[Any], Any]) -> SegmentationState:
    mask = None if state.mask is None else move(state.mask)
    return replace(state, values=move(state.values), brain=move(state.brain), mask=mask)


def assert_same(got: SegmentationState, expected: SegmentationState) -> None:
    np.testing.assert_allclose(got.values, expected.values, atol=1e-5)
    np.testing.assert_array_equal(got.brain, expected.brain)
    np.testing.assert_array_equal(got.lesion, expected.lesion)


@pytest.fixture(params=sorted({**STEPS, **SEGMENTATION_METHODS}))
def change(request: pytest.FixtureRequest) -> Change:
    return change_of(request.param)


@pytest.fixture(params=SPACINGS, ids=str)
def state(request: pytest.FixtureRequest) -> SegmentationState:
    return scene(request.param)


def test_the_contract_covers_every_step_and_decision() -> None:
    assert set(OPTIONS) == set(STEPS) | set(SEGMENTATION_METHODS)
    assert set(STEPS) == set(MAP_STEPS) | set(MASK_STEPS)
    assert set(RULES) == {"fixed", "robust", "healthy", "labelled", "oracle"}


def test_the_scene_is_worth_working_on() -> None:
    before = scene(SPACINGS[0])
    for name in OPTIONS:
        after = change_of(name)(before)
        same = np.array_equal(after.values, before.values)
        assert not (same and np.array_equal(after.lesion, before.lesion)), name


def test_leaves_its_input_alone(change: Change, state: SegmentationState) -> None:
    values, brain, mask = (
        state.values.copy(),
        state.brain.copy(),
        state.lesion.copy(),
    )
    change(state)
    np.testing.assert_array_equal(state.values, values)
    np.testing.assert_array_equal(state.brain, brain)
    np.testing.assert_array_equal(state.lesion, mask)


def test_keeps_shape_type_and_brain(change: Change, state: SegmentationState) -> None:
    after = change(state)
    assert after.values.shape == state.values.shape
    assert after.values.dtype == np.float32
    assert after.lesion.dtype == np.bool_
    assert np.isfinite(after.values).all()
    assert not after.values[~after.brain].any()
    assert not (after.brain & ~state.brain).any()
    assert not (after.lesion & ~state.brain).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flips_with_the_head(change: Change, state: SegmentationState, axis: int) -> None:
    flip = partial(np.flip, axis=axis)
    assert_same(change(moved(state, flip)), moved(change(state), flip))


def test_does_not_know_where_the_array_ends(change: Change, state: SegmentationState) -> None:
    pad = partial(np.pad, pad_width=((3, 2), (4, 3), (2, 5)))
    assert_same(change(moved(state, pad)), moved(change(state), pad))


def test_survives_an_empty_mask(change: Change, state: SegmentationState) -> None:
    after = change(state.with_mask(np.zeros_like(state.brain)))
    assert after.values.shape == state.values.shape


@pytest.mark.parametrize("name", sorted(MASK_STEPS))
def test_finds_nothing_in_an_empty_mask(name: str, state: SegmentationState) -> None:
    assert not change_of(name)(state.with_mask(np.zeros_like(state.brain))).lesion.any()


def test_survives_an_empty_brain(change: Change, state: SegmentationState) -> None:
    nothing = np.zeros_like(state.brain)
    after = change(replace(state, brain=nothing, mask=nothing).with_values(state.values))
    assert not after.values.any()
    assert not after.lesion.any()


def test_survives_a_map_without_contrast(change: Change, state: SegmentationState) -> None:
    flat = state.with_values(np.ones_like(state.values))
    assert np.isfinite(change(flat).values).all()
