"""T1 after contrast medium without what T1 shows before it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import ArrayLike

from anomri.errors import RecipeError
from anomri.postprocessing import clean
from anomri.recipe import Step
from anomri.scan import AnomalyMap, Grid, Scan

STEP = Step(name="subtract_native", options={"above": 0.2, "raise_by": 0.3})


def map_of(t1ce: ArrayLike, t1: ArrayLike) -> AnomalyMap:
    """Three voxels in a row; the last one lies outside the brain."""
    image = np.array([t1ce, t1], np.float32).reshape(2, 3, 1, 1)
    grid = Grid(shape=(3, 1, 1), affine=np.eye(4))
    brain = np.array([True, True, False]).reshape(3, 1, 1)
    scan = Scan(
        subject="row",
        label="sub-row",
        image=image,
        contrasts=("t1ce", "t1"),
        brain=brain,
        grid=grid,
        native=grid,
    )
    return AnomalyMap(
        scan=scan, values=image, reconstruction=image, score="residual", shows=("enhancing",) * 2
    )


@pytest.mark.parametrize(
    ("t1ce", "t1", "expected"),
    [
        (2.0, -1.0, 2.3),  # dark before: T1CE counts, raised
        (2.0, 0.2, 2.3),
        (2.0, 1.2, 1.3),  # blood: bright before as well
        (1.21, 0.0, 1.51),  # the least that is above 1.5
    ],
)
def test_values_by_hand(t1ce: float, t1: float, expected: float) -> None:
    cleaned = clean(map_of([t1ce, 0, 0], [t1, 0.1, 0]), [STEP])
    np.testing.assert_allclose(cleaned.values.ravel(), [expected, 0.3, 0], atol=1e-6)


def test_above_the_threshold_both_rules_hold() -> None:
    """Above 1.5 means: T1CE above 1.2, and 1 more than T1."""
    for e, n in itertools.product((1.1, 1.3, 2.9), (-1.0, 0.15, 0.25, 0.35, 1.8, 2.0)):
        value = clean(map_of([e, 0, 0], [n, 0.1, 0]), [STEP]).values[0, 0, 0, 0]
        assert (value > 1.5) == (e > 1.2 and e - n > 1.0), (e, n)


def test_without_t1_it_is_t1ce() -> None:
    cleaned = clean(map_of([2, 1, 0], [0, 0, 0]), [STEP])
    np.testing.assert_array_equal(cleaned.values.ravel(), [2, 1, 0])


def test_what_is_left_is_a_map_of_t1ce() -> None:
    cleaned = clean(map_of([2, 1, 0], [1, 0, 0]), [STEP])
    assert cleaned.scan.contrasts == ("t1ce",)
    assert cleaned.shows == ("enhancing",)
    assert cleaned.values.shape == cleaned.reconstruction.shape == (1, 3, 1, 1)


def test_another_number_of_contrasts_is_refused() -> None:
    alone = clean(map_of([2, 1, 0], [1, 0, 0]), [STEP])
    with pytest.raises(RecipeError, match="T1CE and T1, got 1"):
        clean(alone, [STEP])
