"""Each decision on lesions small enough to work out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from anomri.postprocessing.segmentation_methods import above, grow, hysteresis, mixture


def line(*values: float) -> ArrayLike:
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1)


def test_above_is_strict_and_inside_the_brain(state_of: Any) -> None:
    state = state_of(line(1, 2, 3, 4), brain=line(1, 1, 1, 0))
    np.testing.assert_array_equal(above(state, 2).lesion.ravel(), [0, 0, 1, 0])


def test_hysteresis_keeps_what_reaches_the_threshold(state_of: Any) -> None:
    state = state_of(line(2, 2, 5, 0, 2, 3, 0, 6))
    marked = hysteresis(state, 4, low=1).lesion.ravel()
    np.testing.assert_array_equal(marked, [1, 1, 1, 0, 0, 0, 0, 1])


def test_hysteresis_never_starts_above_the_threshold(state_of: Any) -> None:
    state = state_of(line(2, 2, 5, 0, 9))
    marked = hysteresis(state, 4, low=7).lesion.ravel()
    np.testing.assert_array_equal(marked, [0, 0, 1, 0, 1])


def test_grow_follows_the_median_of_the_core(state_of: Any) -> None:
    # Core 10 10 6, median 10, level 4.5: the 5 belongs to it, the 4 does not.
    state = state_of(line(4, 5, 10, 10, 6, 4, 0, 4.9))
    marked = grow(state, 5.5, smallest_core_ml=0).lesion.ravel()
    np.testing.assert_array_equal(marked, [0, 1, 1, 1, 1, 0, 0, 0])


def test_grow_goes_no_lower_than_the_minimum_level(state_of: Any) -> None:
    # 0.45 * 3 is 1.35, below the minimum level of 1.5.
    state = state_of(line(1.4, 1.6, 3, 3, 1.4))
    marked = grow(state, 2, smallest_core_ml=0).lesion.ravel()
    np.testing.assert_array_equal(marked, [0, 1, 1, 1, 0])


def test_grow_goes_no_higher_than_the_maximum_level(state_of: Any) -> None:
    # 0.45 * 20 is 9, above the maximum level of 4.
    state = state_of(line(3.9, 4.1, 20, 20, 3.9))
    marked = grow(state, 5, max_level=4, smallest_core_ml=0).lesion.ravel()
    np.testing.assert_array_equal(marked, [0, 1, 1, 1, 0])


def test_grow_falls_back_where_the_core_is_small(state_of: Any) -> None:
    # Two voxels of core are 0.002 ml. With enough of them the level is 9, else it is 3.
    state = state_of(line(2, 4, 20, 20, 2))
    trusted = grow(state, 5, smallest_core_ml=0.002).lesion.ravel()
    np.testing.assert_array_equal(trusted, [0, 0, 1, 1, 0])
    too_small = grow(state, 5, smallest_core_ml=0.003).lesion.ravel()
    np.testing.assert_array_equal(too_small, [0, 1, 1, 1, 0])


def test_grow_drops_what_weighs_little(state_of: Any) -> None:
    # Median of 20 20 20 6 6 is 20, level 2: weights 54, 4 and 4 + 3.
    state = state_of(line(20, 20, 20, 0, 6, 0, 6, 5, 0))
    settings = {"fraction": 0.1, "smallest_core_ml": 0}
    light = grow(state, 5.5, min_relative_weight=0.1, **settings).lesion.ravel()
    np.testing.assert_array_equal(light, [1, 1, 1, 0, 0, 0, 1, 1, 0])
    every = grow(state, 5.5, min_relative_weight=0.05, **settings).lesion.ravel()
    np.testing.assert_array_equal(every, [1, 1, 1, 0, 1, 0, 1, 1, 0])


def test_grow_needs_a_core(state_of: Any) -> None:
    assert not grow(state_of(line(3, 3.5, 3.9)), 4).lesion.any()
    assert not grow(state_of(line(3, 3.5, 3.9)), 4, smallest_core_ml=0).lesion.any()


@pytest.fixture
def dark_tumour(state_of: Any) -> Any:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, (30, 30, 4))
    values[8:16, 8:16] -= 8
    return state_of(values)


def test_the_mixtures_tumour_is_the_smaller_component(dark_tumour: Any) -> None:
    marked = mixture(dark_tumour, np.nan).lesion
    expected = np.zeros_like(marked)
    expected[8:16, 8:16] = True
    np.testing.assert_array_equal(marked, expected)


def test_the_mixtures_tumour_may_be_the_brighter_component(dark_tumour: Any) -> None:
    marked = mixture(dark_tumour, np.nan, component="brightest").lesion
    np.testing.assert_array_equal(marked, ~mixture(dark_tumour, np.nan).lesion)
