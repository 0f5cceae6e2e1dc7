"""The threshold rules against brute force, and what they say of themselves."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from anomri.errors import RecipeError, UsageError
from anomri.postprocessing import ThresholdFits, fit_threshold, threshold_of_scan
from anomri.postprocessing.state import median_of
from anomri.postprocessing.thresholds import CUTS
from anomri.recipe import Step
from anomri.scan import AnomalyMap, Grid, Scan

SHAPE = (10, 9, 8)
GRID = Grid(shape=SHAPE, affine=np.diag([2.0, 2.0, 2.0, 1.0]))


def anomaly(
    seed: int, *, lesion: float | None = None, healthy: bool | None = None, noise: float = 1.0
) -> AnomalyMap:
    """Noise in a brain, with a lesion of that height in the middle unless it is None."""
    rng = np.random.default_rng(seed)
    brain = np.ones(SHAPE, bool)
    brain[0], brain[:, :, -1] = False, False
    truth = None
    values = np.where(brain, rng.normal(0, noise, SHAPE), 0).astype(np.float32)
    if lesion is not None:
        truth = np.zeros(SHAPE, np.uint8)
        truth[4:7, 4:7, 3:6] = 2
        values += lesion * (truth > 0)
    scan = Scan(
        subject=f"subject {seed}",
        label=f"sub-subject{seed}",
        image=values[None],
        contrasts=("flair",),
        brain=brain,
        grid=GRID,
        native=GRID,
        truth=truth,
        healthy=healthy,
    )
    return AnomalyMap(
        scan=scan, values=values[None], reconstruction=values[None] * 0, score="residual"
    )


def lesions() -> Iterator[AnomalyMap]:
    return (anomaly(seed, lesion=seed + 2.0) for seed in range(4))


def dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def mean_dice(cut: float) -> float:
    scores = []
    for one in lesions():
        assert one.scan.truth is not None
        scores.append(dice((one.values[0] > cut) & one.brain, one.scan.truth > 0))
    return float(np.mean(scores))


def test_fixed_is_the_number_given() -> None:
    threshold = threshold_of_scan(anomaly(0), Step(name="fixed", options={"value": 3}))
    assert (threshold.value, threshold.rule, threshold.fitted_on) == (3, "fixed", ())
    assert threshold.false_positive_ml is None


def test_robust_is_median_and_mad_of_the_scans_own_brain() -> None:
    one = anomaly(1, lesion=9)
    threshold = threshold_of_scan(one, Step(name="robust", options={"k": 2}))
    inside = one.values[0][one.brain]
    expected = np.median(inside) + 2 * stats.median_abs_deviation(inside, scale="normal")
    assert threshold.value == pytest.approx(expected, rel=1e-4)
    assert threshold.fitted_on == ()


def test_robust_takes_the_strongest_contrast_and_the_eroded_brain() -> None:
    one = anomaly(1)
    half = one.brain.copy()
    half[5:] = False
    two = replace(one, values=np.concatenate([one.values, -one.values]), eroded_brain=half)
    inside = np.abs(one.values[0])[half]
    expected = np.median(inside) + 3 * stats.median_abs_deviation(inside, scale="normal")
    assert threshold_of_scan(two, Step(name="robust")).value == pytest.approx(expected, rel=1e-4)


def test_healthy_is_the_lowest_cut_within_the_volume_allowed() -> None:
    maps = [anomaly(seed, healthy=True, noise=1 + seed) for seed in range(3)]
    allowed = 0.1
    rule = Step(name="healthy", options={"false_positive_ml": allowed})
    threshold = fit_threshold(maps, rule)

    def volume(cut: float) -> float:
        return float(np.mean([(m.values[0] > cut)[m.brain].sum() * 0.008 for m in maps]))

    assert volume(threshold.value) <= allowed
    assert volume(CUTS[np.searchsorted(CUTS, threshold.value) - 1]) > allowed
    assert threshold.false_positive_ml == pytest.approx(volume(threshold.value))
    assert threshold.rule == "healthy"
    assert threshold.fitted_on == ("subject 0", "subject 1", "subject 2")


def test_healthy_leaves_labelled_lesions_out() -> None:
    with_lesion = [anomaly(seed, lesion=50) for seed in range(3)]
    assert (
        fit_threshold(with_lesion, Step(name="healthy", options={"false_positive_ml": 0})).value < 6
    )


def test_healthy_with_nothing_allowed_is_above_everything() -> None:
    maps = [anomaly(seed, healthy=True) for seed in range(2)]
    threshold = fit_threshold(maps, Step(name="healthy", options={"false_positive_ml": 0}))
    highest = max(float(m.values.max()) for m in maps)
    assert highest <= threshold.value <= highest * 1.003
    assert threshold.false_positive_ml == 0


def test_healthy_does_not_learn_from_patients_without_labels(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(UsageError, match="lesion-free"):
        fit_threshold([anomaly(0, healthy=False)], Step(name="healthy"))
    assert "subject 0: not healthy" in caplog.text


def test_healthy_says_when_nobody_vouches_for_a_scan(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fit_threshold([anomaly(0)], Step(name="healthy"))
    assert "subject 0: healthy or not is unknown" in caplog.text


def test_labelled_is_the_best_of_its_candidates() -> None:
    candidates = list(np.linspace(0, 6, 15))
    threshold = fit_threshold(lesions(), Step(name="labelled", options={"candidates": candidates}))
    best = max(mean_dice(cut) for cut in candidates)
    assert threshold.value in candidates
    assert mean_dice(threshold.value) == best
    assert threshold.fitted_on == tuple(f"subject {seed}" for seed in range(4))


def test_labelled_without_candidates_is_at_least_as_good_as_any_grid() -> None:
    threshold = fit_threshold(lesions(), Step(name="labelled"))
    grid = np.unique(np.concatenate([one.values.ravel() for one in lesions()]))
    assert mean_dice(threshold.value) >= max(mean_dice(cut) for cut in grid[::7]) - 2e-3
    assert threshold.value > 0


def test_labelled_counts_what_the_erosion_cut_off_as_missed() -> None:
    seen, cut_off = anomaly(0, lesion=3, noise=0), anomaly(1, lesion=3, noise=0)
    seen.values[0, 4, 4, 3:6] = 1.5  # cut 1: Dice 1, cut 2: Dice 48 / 51
    cut_off.values[0, 1, 0, :7] = 1.5  # seven false positives between the cuts
    brain = cut_off.brain.copy()
    brain[4:7, 4:7, 3:6] = False
    brain[4, 4, 3] = True  # one of 27 is left: cut 1: Dice 2 / 35, cut 2: Dice 2 / 28
    maps = [seen, replace(cut_off, eroded_brain=brain, values=cut_off.values * brain)]
    rule = Step(name="labelled", options={"candidates": [1, 2]})
    # Were the lesion only what is left of it, cut 2 would have Dice 1 there and win.
    assert fit_threshold(maps, rule).value == 1


def test_the_oracle_is_called_oracle() -> None:
    oracle = fit_threshold(lesions(), Step(name="oracle"))
    assert oracle.rule == "oracle"
    assert oracle.value == fit_threshold(lesions(), Step(name="labelled")).value


@pytest.mark.parametrize("rule", ["healthy", "labelled", "oracle"])
def test_nothing_to_fit_on_is_an_error(rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        fit_threshold([], Step(name=rule))


def test_rules_of_one_scan_and_of_many_are_not_mixed_up() -> None:
    with pytest.raises(RecipeError, match="fixed, robust"):
        threshold_of_scan(anomaly(0), Step(name="healthy"))
    with pytest.raises(RecipeError, match="healthy, labelled, oracle"):
        fit_threshold([anomaly(0)], Step(name="robust"))


def test_one_pass_fits_what_can_be_fitted() -> None:
    fits = ThresholdFits(false_positive_ml=0.1)
    fits.add(anomaly(0, healthy=True))
    assert set(fits.thresholds()) == {"healthy"}
    fits.add(anomaly(1, lesion=8))
    fitted = fits.thresholds()
    assert set(fitted) == {"healthy", "labelled"}
    assert fitted["healthy"].fitted_on == ("subject 0", "subject 1")
    assert fitted["labelled"].fitted_on == ("subject 1",)


def test_the_labelled_threshold_is_one_of_the_candidates() -> None:
    fits = ThresholdFits(candidates=[2.0, 5.0, 20.0])
    fits.add(anomaly(1, lesion=8))
    assert fits.thresholds()["labelled"].value == 5


def test_a_fit_keeps_no_map() -> None:
    fits = ThresholdFits()
    one: Any = anomaly(1, lesion=8)
    values = weakref.ref(one.values.base if one.values.base is not None else one.values)
    fits.add(one)
    del one
    gc.collect()
    assert values() is None


def test_a_left_out_subject_has_no_part_in_its_threshold() -> None:
    fits = ThresholdFits(false_positive_ml=0.2)
    maps = [anomaly(seed, lesion=seed + 2.0, noise=1 + seed / 4) for seed in range(4)]
    for one in maps:
        fits.add(one)
    for left_out in maps:
        others = [one for one in maps if one is not left_out]
        found = fits.thresholds_without(left_out.scan.subject)
        for rule, options in (("healthy", {"false_positive_ml": 0.2}), ("labelled", {})):
            expected = fit_threshold(others, Step(name=rule, options=options))
            assert found[rule].value == pytest.approx(expected.value)
            assert found[rule].fitted_on == expected.fitted_on
            assert left_out.scan.subject not in found[rule].fitted_on


def test_sessions_of_a_subject_are_left_out_together() -> None:
    fits = ThresholdFits()
    one, other = anomaly(1), anomaly(2)
    again = replace(one, scan=replace(one.scan, label="sub-1_ses-2"))
    for each in (one, other, again):
        fits.add(each)
    assert fits.thresholds_without("subject 1")["healthy"].fitted_on == ("subject 2",)


def test_alone_nobody_can_be_left_out() -> None:
    fits = ThresholdFits()
    fits.add(anomaly(1))
    assert fits.thresholds_without("subject 1") == {}


@given(arrays(np.float32, st.integers(1, 30), elements=st.floats(-9, 9, width=32)))
def test_the_median_is_that_of_numpy(values: NDArray[np.float32]) -> None:
    assert median_of(values) == np.median(values)
