"""Growth of a mass on phantoms whose border is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing import COMBINATION_STEPS, SegmentationState, StepMap
from anomri.recipe import Step, call
from anomri.scan import AnomalyMap, Grid, Image, Mask, Scan, Threshold

SIZE_MM = 90
CENTRE_MM = (36.0, 45.0, 45.0)
OPTIONS = {"min_mass_radius_mm": 7}
FINE, THICK = (2.0, 2.0, 2.0), (1.5, 1.5, 6.0)


def distance_mm(spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Distance from the centre of the mass on a cube of SIZE_MM."""
    shape = [round(SIZE_MM / side) for side in spacing]
    places = np.indices(shape) * np.reshape(spacing, (3, 1, 1, 1))
    centre = np.reshape(CENTRE_MM, (3, 1, 1, 1))
    return np.asarray(np.linalg.norm(places - centre, axis=0))


def noise(shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    drawn = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1)
    return np.asarray(drawn / drawn.std() * 0.5)


def dice(found: Mask, truth: Mask) -> float:
    return 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())


def grown(
    mask: Mask,
    values: Image,
    spacing: tuple[float, float, float] = FINE,
    enhancing: Mask | None = None,
    probability: NDArray[np.float32] | None = None,
    **options: Any,
) -> Mask:
    """Run the step on values (C, I, J, K) in standard deviations of the brain; all is brain."""
    brain = np.ones_like(mask)
    grid = Grid(shape=mask.shape, affine=np.diag([*spacing, 1.0]))
    scan = Scan(
        subject="ball",
        label="sub-ball",
        image=values,
        contrasts=("flair", "t1ce", "t1", "t2")[: len(values)],
        brain=brain,
        grid=grid,
        native=grid,
    )
    anomaly = AnomalyMap(scan=scan, values=values, reconstruction=values, score="residual")
    start = SegmentationState(values[0], brain, spacing, grid.voxel_ml, mask)

    def threshold_of(_name: str) -> Threshold:
        return Threshold(value=0.8, rule="fixed")

    def state_of(name: str) -> SegmentationState:
        assert name == "enhancement", "region competition needs no mask of its own map"
        bright = values[0] * np.float32(0) if enhancing is None else enhancing.astype(np.float32)
        return SegmentationState(bright, brain, spacing, grid.voxel_ml, enhancing)

    maps = {"contrasts": anomaly} | ({} if enhancing is None else {"enhancement": anomaly})
    if probability is not None:
        maps["network"] = replace(anomaly, values=probability[None])
    second = StepMap("contrasts", maps, threshold_of, state_of)
    step = Step(name="compete", options={**OPTIONS, **options})
    return call(COMBINATION_STEPS, step, start, second).mask


def edema(
    spacing: tuple[float, float, float] = FINE, *, level: float = 1.6, contrasts: int = 4
) -> tuple[Mask, Mask, Image]:
    """A bright ball of 10 mm inside faint edema of 20 mm: start, truth and values."""
    away = distance_mm(spacing)
    signs = np.array([1.0, -0.3, -0.7, 1.0])[:contrasts]
    brightness = np.where(away < 10, 4.0, np.where(away < 20, level, 0.0))
    values = np.stack(
        [sign * brightness + noise(away.shape, seed) for seed, sign in enumerate(signs)]
    )
    return away < 10, away < 20, values.astype(np.float32)


@pytest.mark.parametrize("spacing", [FINE, THICK], ids=["cubes", "thick slices"])
def test_faint_edema_is_reached_and_its_border_is_kept(spacing: tuple[float, float, float]) -> None:
    start, truth, values = edema(spacing, level=2.4)
    found = grown(start, values, spacing)
    assert dice(start, truth) < 0.3
    assert dice(found, truth) > 0.9
    assert not (start & ~found).any()


def test_a_mask_of_the_core_alone_reaches_the_edema() -> None:
    """Edema far less bright than the core is not like it, but like what surrounds the core."""
    start, truth, values = edema(level=1.4)
    without = grown(start, values, core_map="enhancement")  # a scan without that map
    found = grown(start, values, enhancing=start, core_map="enhancement")
    np.testing.assert_array_equal(without, grown(start, values))
    assert dice(found, truth) > dice(without, truth) + 0.3
    assert dice(found, truth) > 0.85


def test_a_mask_with_edema_is_its_own_sample() -> None:
    start, truth, values = edema(level=2.4)
    core = distance_mm(FINE) < 6
    found = grown(start, values, enhancing=core, core_map="enhancement")
    np.testing.assert_array_equal(found, grown(start, values))
    assert dice(found, truth) > 0.9


def test_a_core_without_edema_does_not_flood_the_brain() -> None:
    away = distance_mm(FINE)
    start = away < 10
    values = np.where(start, 4.0, 0.0) + noise(away.shape, 0)
    image = values[None].astype(np.float32)
    found = grown(start, image, enhancing=start, core_map="enhancement")
    assert found.sum() < 1.3 * start.sum()


def test_faint_tissue_joins_only_where_the_network_agrees() -> None:
    start, _, values = edema(level=1.6)
    above = np.indices(start.shape)[2] >= start.shape[2] // 2
    half = np.where(above, 0.4, 0.2).astype(np.float32)
    options: dict[str, Any] = {
        "probability_map": "network",
        "faint_fraction": 0.7,
        "faint_probability": 0.3,
    }
    free = grown(start, values)
    found = grown(start, values, probability=half, **options)
    assert dice(found & above, free & above) > 0.95
    assert dice(found & ~above, start & ~above) > 0.9 > dice(free & ~above, start & ~above)
    np.testing.assert_array_equal(grown(start, values, **options), free)  # without that map


def test_what_is_as_bright_as_the_mass_joins_without_the_network() -> None:
    start, truth, values = edema(level=3.2)
    nothing = np.zeros(start.shape, np.float32)
    options: dict[str, Any] = {
        "probability_map": "network",
        "faint_fraction": 0.5,
        "faint_probability": 0.3,
    }
    assert dice(grown(start, values, probability=nothing, **options), truth) > 0.95


def test_more_contrasts_reach_further() -> None:
    start, truth, values = edema(level=2.0)
    one, all_four = (dice(grown(start, values[:n]), truth) for n in (1, 4))
    assert all_four > one + 0.02


def test_a_missing_contrast_is_no_evidence() -> None:
    start, _, values = edema(level=2.4, contrasts=2)
    missing = np.concatenate([values, np.zeros_like(values)])
    np.testing.assert_array_equal(grown(start, missing), grown(start, values))


def test_a_bright_rim_far_from_the_mass_is_not_flooded() -> None:
    """As bright as the mass itself, behind 12 mm of brain."""
    start, truth, values = edema(level=2.4)
    far = distance_mm(FINE) > 32
    values[:, far] = values[:, start].mean(axis=1, keepdims=True)
    found = grown(start, values)
    assert not (found & far).any()
    assert dice(found, truth) > dice(start, truth) + 0.2


def test_a_bright_path_is_followed_only_so_far() -> None:
    """A tract as bright as edema leads away from the mass: each mm of it costs evidence."""
    start, _, values = edema(level=2.4)
    places = np.indices(start.shape) * 2.0
    tract = (np.abs(places[1] - 45) < 7) & (np.abs(places[2] - 45) < 7) & (places[0] > 36)
    values[:, tract & ~start] = 2.4 * np.array([[1.0], [-0.3], [-0.7], [1.0]])
    reach = [
        float(places[0][grown(start, values, penalty_per_mm=penalty)].max())
        for penalty in (0.0, 0.5)
    ]
    assert reach[1] < reach[0]


def test_brain_like_the_surroundings_is_left_alone() -> None:
    away = distance_mm(FINE)
    start = away < 10
    values = np.where(start, 4.0, 0.0) + noise(away.shape, 0)
    found = grown(start, values[None].astype(np.float32))
    assert dice(found, start) > 0.95


def test_what_is_dark_in_the_first_contrast_is_not_added() -> None:
    """On one side the other contrasts look like edema and FLAIR does not."""
    start, truth, values = edema(level=2.4)
    side = (np.indices(start.shape)[0] * 2 > CENTRE_MM[0] + 12) & truth
    values[0, side] = 0.5
    found = grown(start, values)
    assert (found & side).sum() < 0.1 * side.sum()
    assert (found & truth & ~side).sum() > 0.8 * (truth & ~side).sum()


def test_several_lesions_of_one_size_are_no_mass() -> None:
    start, _, values = edema(level=2.4)
    both = start | np.roll(start, 22, axis=0)
    np.testing.assert_array_equal(grown(both, values), both)
    assert (grown(both, values, min_mass_fraction=0.4) & ~both).any()


def test_a_small_lesion_is_left_alone() -> None:
    start, _, values = edema(level=2.4)
    np.testing.assert_array_equal(grown(start, values, min_mass_radius_mm=12), start)


def test_nothing_to_compare_with_changes_nothing() -> None:
    start, _, values = edema()
    np.testing.assert_array_equal(grown(start, np.zeros_like(values)), start)
    empty = np.zeros_like(start)
    np.testing.assert_array_equal(grown(empty, values, min_mass_radius_mm=0), empty)


def test_the_input_is_left_alone() -> None:
    start, _, values = edema(level=2.4)
    mask, before = start.copy(), values.copy()
    grown(start, values)
    np.testing.assert_array_equal(start, mask)
    np.testing.assert_array_equal(values, before)


def test_it_flips_with_the_head() -> None:
    start, _, values = edema(level=2.4)
    flipped = grown(start[::-1].copy(), values[:, ::-1].copy())[::-1]
    assert dice(flipped, grown(start, values)) > 0.98


def test_the_rest_of_the_brain_does_not_matter() -> None:
    """Only the ring is compared with: a second bright place far away changes nothing."""
    start, _, values = edema(level=2.4)
    other = values.copy()
    other[:, distance_mm(FINE) > 50] += 5
    near = distance_mm(FINE) < 30
    one, two = (grown(start, image) & near for image in (values, other))
    assert dice(one, two) > 0.98


def grey_core() -> tuple[Mask, Mask, Mask, Image]:
    """Bright edema beside a core that only T1CE shows, and fluid beyond: start to values."""
    away = distance_mm(FINE)
    right = np.indices(away.shape)[0] * FINE[0] > CENTRE_MM[0]
    mass = away < 20
    core, fluid = mass & right, (away < 26) & ~mass & right
    flair = np.where(mass & ~right, 3.0, np.where(core, 0.3, np.where(fluid, -6.0, 0.0)))
    t1ce = np.where(mass, -3.0, np.where(fluid, -4.0, 0.0))
    values = np.stack([flair + noise(away.shape, 0), t1ce + noise(away.shape, 1)])
    return mass & ~right, core, fluid, values.astype(np.float32)


def test_a_core_that_is_dark_in_t1ce_alone_joins_but_fluid_does_not() -> None:
    start, core, fluid, values = grey_core()
    without = grown(start, values)
    found = grown(start, values, dark_below=-1, fluid_below=-2)
    assert (without & core).sum() < 0.2 * core.sum()
    assert (found & core).sum() > 0.8 * core.sum()
    assert (found & fluid).sum() < 0.05 * fluid.sum()


def test_without_t1ce_nothing_dark_joins() -> None:
    start, _, _, values = grey_core()
    flair = values[:1]
    np.testing.assert_array_equal(
        grown(start, flair), grown(start, flair, dark_below=-1, fluid_below=-2)
    )


GREY_CORE: dict[str, Any] = {
    "probability_map": "network",
    "dark_below": -1,
    "fluid_below": -2,
    "grey_core_probability": 0.9,
    "grey_core_radius_mm": 5,
}


def unlike_core() -> tuple[Mask, Mask, Mask, Image]:
    """A grey core beside a part that is bright in T1CE: they have nothing in common."""
    start, core, fluid, values = grey_core()
    values[1, start] += 6
    return start, core, fluid, values


def test_a_grey_core_joins_where_the_network_is_sure_of_it() -> None:
    start, core, fluid, values = unlike_core()
    sure, doubtful = (np.full(start.shape, p, np.float32) for p in (0.95, 0.85))
    missed = grown(start, values, probability=doubtful, **GREY_CORE)
    assert (missed & core).sum() < 0.2 * core.sum()
    found = grown(start, values, probability=sure, **GREY_CORE)
    assert (found & core).sum() > 0.8 * core.sum()
    assert (found & fluid).sum() < 0.05 * fluid.sum()


def test_a_thin_part_that_is_dark_in_t1ce_is_no_core() -> None:
    """Three slices of 2 mm: no ball of 5 mm fits."""
    start, core, _, values = unlike_core()
    thin = np.zeros(start.shape, np.float32)
    middle = start.shape[2] // 2
    thin[:, :, middle - 1 : middle + 2] = 0.95
    found = grown(start, values, probability=thin, **GREY_CORE)
    assert (found & core).sum() < 0.2 * core.sum()


def two_masses() -> tuple[Mask, Mask, Image]:
    """A tumour, and healthy tissue on the other side that a coil brightens."""
    start, _, values = edema(level=2.4)
    index = np.indices(start.shape) * np.reshape(FINE, (3, 1, 1, 1))
    coil = np.linalg.norm(index - np.reshape((78.0, 45.0, 45.0), (3, 1, 1, 1)), axis=0) < 10
    values[0, coil] = 4
    return start, coil, values


DOUBT: dict[str, Any] = {"probability_map": "network", "min_mean_probability": 0.4}


def test_a_lesion_that_the_network_doubts_is_given_up_beside_a_mass() -> None:
    start, coil, values = two_masses()
    probability = np.where(start, 0.6, 0.2).astype(np.float32)
    found = grown(start | coil, values, probability=probability, **DOUBT)
    assert not (found & coil).any()
    np.testing.assert_array_equal(found, grown(start, values))


def test_a_network_that_finds_no_mass_gives_nothing_up() -> None:
    start, coil, values = two_masses()
    nothing = np.full(start.shape, 0.2, np.float32)
    both = start | coil
    assert (grown(both, values, probability=nothing, **DOUBT) & both).sum() == both.sum()
