"""Choice of the level of growth on a ball that fades outwards."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from anomri.postprocessing import COMBINATION_STEPS, SegmentationState, StepMap
from anomri.postprocessing.level_choice import best_fraction
from anomri.recipe import Step, call
from anomri.scan import AnomalyMap, Grid, Mask, Scan, Threshold

SIDE = 48
AWAY = np.linalg.norm(np.indices((SIDE,) * 3) - (SIDE - 1) / 2, axis=0).astype(np.float32)
VALUES = np.clip(10 - AWAY / 2, 0, None).astype(np.float32)  # 5 at 10 mm
CORE = Threshold(value=6.0, rule="fixed")  # median of the core: 6.8
FRACTIONS = (0.3, 0.4, 0.5, 0.6, 0.7)


def state() -> SegmentationState:
    mask = VALUES > CORE.value  # noqa: SIM300 - not a Yoda condition
    return SegmentationState(VALUES, np.ones_like(mask), (1.0, 1.0, 1.0), 0.001, mask)


def network(radius: float, inside: float = 0.9, outside: float = 0.1) -> NDArray[np.float32]:
    return np.where(radius > AWAY, inside, outside).astype(np.float32)


@pytest.mark.parametrize(
    ("radius", "fraction"), [(9.2, 0.7), (12.0, 0.6), (13.2, 0.5), (16.0, 0.3)]
)
def test_the_mask_that_resembles_the_networks_is_chosen(radius: float, fraction: float) -> None:
    assert best_fraction(state(), CORE.value, network(radius), 0.5, FRACTIONS) == fraction


def test_a_network_that_finds_nothing_keeps_the_mask_small() -> None:
    nothing = network(0)
    assert best_fraction(state(), CORE.value, nothing, 0.5, FRACTIONS) == FRACTIONS[-1]


def test_probabilities_count_relative_to_the_level() -> None:
    unsure = network(SIDE, inside=0.6)
    assert best_fraction(state(), CORE.value, unsure, 0.5, FRACTIONS) == FRACTIONS[0]
    assert best_fraction(state(), CORE.value, unsure, 0.7, FRACTIONS) == FRACTIONS[-1]


def chosen(radius_mm: float) -> tuple[Mask, list[str]]:
    """Run the step; the core has a radius of 8 mm."""
    grid, asked = Grid(shape=(SIDE,) * 3, affine=np.eye(4)), list[str]()
    brain, image = np.ones((SIDE,) * 3, bool), network(13.2)[None]
    scan = Scan(
        subject="a",
        label="sub-a",
        image=image,
        contrasts=("flair",),
        brain=brain,
        grid=grid,
        native=grid,
    )
    anomaly = AnomalyMap(scan=scan, values=image, reconstruction=image, score="p")

    class Maps(dict[str, AnomalyMap]):
        def __getitem__(self, name: str) -> AnomalyMap:
            asked.append(name)
            return super().__getitem__(name)

    maps = Maps(brightness=anomaly, network=anomaly)
    step = Step(name="choose_level", options={"min_mass_radius_mm": radius_mm})
    second = StepMap("network", maps, lambda _: CORE, lambda _: state())
    return call(COMBINATION_STEPS, step, state(), second).mask, asked


def test_a_mass_is_grown_to_the_networks_border() -> None:
    mask, _ = chosen(7)
    assert 12 < AWAY[mask].max() < 14.5
    assert mask[AWAY < 12].all()


def test_a_small_lesion_is_left_alone_and_the_network_does_not_run() -> None:
    mask, asked = chosen(9)
    np.testing.assert_array_equal(mask, state().lesion)
    assert asked == []
