"""Combination of a mask with probabilities, by hand-worked cases."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from anomri.postprocessing import COMBINATION_STEPS, SegmentationState, StepMap
from anomri.postprocessing.log_odds import Edges, combined_with_probability
from anomri.recipe import Step, call
from anomri.scan import AnomalyMap, Grid, Mask, Scan, Threshold

SHAPE = (30, 4, 4)
INSIDE = np.zeros(SHAPE, bool)
INSIDE[10:20] = True
LEVEL = Threshold(value=0.5, rule="fixed")


def probability_of(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))


def planes(mask: Mask) -> tuple[int, int]:
    """Return the first and the last plane of a mask of whole planes."""
    assert (mask.any(axis=(1, 2)) == mask.all(axis=(1, 2))).all()
    found = np.flatnonzero(mask.any(axis=(1, 2)))
    return int(found[0]), int(found[-1])


@pytest.mark.parametrize(
    ("log_odds", "level", "expected"),
    [
        (0.0, 0.5, (10, 19)),  # an undecided network changes nothing
        (2.0, 0.5, (9, 20)),  # 2 > 0.8 * 2 mm, but not 0.8 * 4 mm
        (-2.0, 0.5, (11, 18)),
        (2.0, probability_of(2.0), (10, 19)),  # relative to the level
        (50.0, 0.5, (6, 23)),  # at most log(999) / 0.8 = 8.6 mm: 4 voxels of 2 mm
        (-50.0, 0.5, (14, 15)),
    ],
)
def test_a_border_moves_by_the_log_odds_over_their_slope(
    log_odds: float, level: float, expected: tuple[int, int]
) -> None:
    probability = np.full(SHAPE, probability_of(log_odds), np.float32)
    found = combined_with_probability(INSIDE, probability, level, 0.8, (2.0, 1.0, 1.0))
    assert planes(found) == expected


@pytest.mark.parametrize(("edge", "expected"), [(18, 18), (19, 19), (20, 20), (13, 19), (25, 19)])
def test_a_border_moves_to_an_edge_of_the_image_close_to_it(edge: int, expected: int) -> None:
    """A mask that ends at voxel 19, an image that ends at another, an undecided network."""
    shape = (60, 16, 16)
    inside, image = np.zeros(shape, bool), np.zeros(shape, np.float32)
    inside[10:20], image[10 : edge + 1] = True, 5
    edges = Edges(image, np.ones(shape, bool), sigma_mm=2)
    undecided = np.full(shape, 0.5, np.float32)
    found = combined_with_probability(inside, undecided, 0.5, 0.8, (1.0, 1.0, 1.0), edges)
    assert planes(found) == (10, expected)


def anomaly(value: float) -> AnomalyMap:
    grid = Grid(shape=SHAPE, affine=np.eye(4))
    image = np.full((1, *SHAPE), value, np.float32)
    scan = Scan(
        subject="a",
        label="sub-a",
        image=image,
        contrasts=("flair",),
        brain=np.ones(SHAPE, bool),
        grid=grid,
        native=grid,
    )
    return AnomalyMap(scan=scan, values=image, reconstruction=image, score="p")


@pytest.mark.parametrize(("radius_mm", "runs"), [(1.5, True), (3.0, False)])
def test_the_network_runs_for_a_mass_only(radius_mm: float, runs: bool) -> None:
    """A ball of 2 mm fits into the mask of 10 x 4 x 4 mm."""
    first, asked = SegmentationState.segmented(anomaly(0), INSIDE), list[str]()

    class Maps(dict[str, AnomalyMap]):
        def __getitem__(self, name: str) -> AnomalyMap:
            asked.append(name)
            return anomaly(1)

    second = StepMap("network", Maps(), lambda _: LEVEL, lambda _: first)
    step = Step(name="combine_log_odds", options={"per_mm": 1, "min_mass_radius_mm": radius_mm})
    found = call(COMBINATION_STEPS, step, first, second)
    assert asked == (["network"] if runs else [])
    assert planes(found.mask) == ((4, 25) if runs else (10, 19))
