"""A step that a recipe spells wrongly is told apart from one that works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anomri.errors import RecipeError
from anomri.postprocessing import MAP_STEPS, MASK_STEPS, SCAN_RULES, SEGMENTATION_METHODS
from anomri.recipe import Step, call


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("medain", {}, ["'medain'", "erode_brain, median"]),
        ("median", {"size": 5}, ["median", "unknown option ['size']", "size_mm, dims"]),
        ("median", {}, ["median", "missing option ['size_mm']"]),
        ("median", {"size_mm": "five"}, ["median", "'size_mm'", "'five'"]),
        ("median", {"size_mm": 5, "dims": 4}, ["median", "'dims'", "2 or 3"]),
        ("erode_brain", {"mm": -1}, ["erode_brain", "'mm'", "greater than or equal to 0"]),
        ("standardise", {"robust": True}, ["standardise", "'robust'", "options are: none"]),
    ],
)
def test_the_error_names_the_step_and_its_options(
    state_of: Any, name: str, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(RecipeError) as caught:
        call(MAP_STEPS, Step(name=name, options=options), state_of(np.ones((3, 3, 3))))
    for word in words:
        assert word in str(caught.value)


def test_a_mask_step_before_the_decision_is_told_where_it_belongs(state_of: Any) -> None:
    with pytest.raises(RecipeError, match="'refine'"):
        call(MASK_STEPS, Step(name="fill_holes"), state_of(np.ones((3, 3, 3))))


def test_inputs_cannot_be_given_as_options(state_of: Any) -> None:
    step = Step(name="above", options={"threshold": 3})
    with pytest.raises(RecipeError, match="unknown option"):
        call(SEGMENTATION_METHODS, step, state_of(np.ones((3, 3, 3))), 1.0)


def test_options_reach_the_function(state_of: Any) -> None:
    step = Step(name="fixed", options={"value": "0.25"})
    assert call(SCAN_RULES, step, state_of(np.ones((3, 3, 3)))).value == 0.25
