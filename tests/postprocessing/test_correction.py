"""The step that corrects a mask by the probabilities of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anomri.postprocessing import COMBINATION_STEPS, SegmentationState, StepMap
from anomri.recipe import Step, call
from anomri.scan import AnomalyMap, Grid, Mask, Scan, Threshold

SHAPE = (12, 4, 4)
INSIDE = np.zeros(SHAPE, bool)
INSIDE[2:6] = True


def corrected(probability: list[float], bright: slice, **options: Any) -> Mask:
    """Correct a mask of planes 2 to 5 of 1 mm; probabilities and brightness are by plane."""
    values = np.zeros(SHAPE, np.float32)
    values[:] = np.array(probability)[:, None, None]
    grid = Grid(shape=SHAPE, affine=np.eye(4))
    scan = Scan(
        subject="a",
        label="sub-a",
        image=values[None],
        contrasts=("flair",),
        brain=np.ones(SHAPE, bool),
        grid=grid,
        native=grid,
    )
    anomaly = AnomalyMap(scan=scan, values=values[None], reconstruction=values[None], score="p")
    brightness = np.zeros(SHAPE, np.float32)
    brightness[bright] = 3
    first = SegmentationState.segmented(
        AnomalyMap(scan=scan, values=brightness[None], reconstruction=values[None], score="z"),
        INSIDE,
    )
    level = Threshold(value=0.5, rule="fixed")
    second = StepMap("net", {"net": anomaly}, lambda _: level, lambda _: first)
    step = Step(name="correct", options=options)
    mask: Mask = call(COMBINATION_STEPS, step, first, second).mask
    return mask


def planes(mask: Mask) -> list[int]:
    assert (mask.any(axis=(1, 2)) == mask.all(axis=(1, 2))).all()
    return list(np.flatnonzero(mask.any(axis=(1, 2))))


@pytest.mark.parametrize(("least", "kept"), [(0.5, [4, 5]), (0.75, [2, 3, 4, 5])])
def test_what_is_improbable_is_given_up_unless_it_is_too_much(
    least: float, kept: list[int]
) -> None:
    found = corrected([0.0] * 4 + [0.2] * 2 + [0.0] * 6, slice(0, 0), min_share=0.2, min_kept=least)
    assert planes(found) == kept


def test_what_is_probable_bright_and_near_is_added() -> None:
    certain = [0.9] * 12
    reach = {"reach_mm": 3.0, "min_value": 2.0}
    assert planes(corrected(certain, slice(0, 12), **reach)) == list(range(9))
    assert planes(corrected(certain, slice(0, 7), **reach)) == list(range(7))
    assert planes(corrected([0.4] * 12, slice(0, 12), **reach)) == [2, 3, 4, 5]
