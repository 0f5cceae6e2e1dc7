from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from anomri.evaluation import bootstrap, paired_difference
from anomri.evaluation.intervals import Statistic

DICE = np.random.default_rng(5).beta(6, 2, size=24)


def test_near_the_interval_of_the_normal_approximation() -> None:
    found = bootstrap(DICE)
    error = stats.sem(DICE)
    assert found.estimate == pytest.approx(DICE.mean())
    assert found.lower == pytest.approx(DICE.mean() - 1.96 * error, abs=0.25 * error)
    assert found.upper == pytest.approx(DICE.mean() + 1.96 * error, abs=0.25 * error)


def test_against_percentiles_of_resamples_made_here() -> None:
    drawn = np.random.default_rng(1).choice(DICE, size=(40_000, DICE.size))
    expected = np.percentile(np.median(drawn, axis=1), [5, 95])
    found = bootstrap(DICE, statistic=np.median, level=0.9)
    assert [found.lower, found.upper] == pytest.approx(expected, abs=0.01)


def test_seed_decides() -> None:
    assert bootstrap(DICE, seed=3) == bootstrap(DICE, seed=3)
    assert bootstrap(DICE, seed=3) != bootstrap(DICE, seed=4)
    assert bootstrap(DICE, method="BCa") == bootstrap(DICE, method="BCa")


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_drawing_a_few_at_a_time_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, statistic: Statistic
) -> None:
    at_once = bootstrap(DICE, statistic=statistic)
    monkeypatch.setattr("anomri.evaluation.intervals.MAX_BATCH", 70 * DICE.size + 1)
    assert bootstrap(DICE, statistic=statistic) == at_once


def test_wider_for_more_confidence_and_fewer_subjects() -> None:
    def width(values: np.ndarray, level: float) -> float:
        found = bootstrap(values, level=level)
        return found.upper - found.lower

    assert width(DICE, 0.8) < width(DICE, 0.95) < width(DICE[:6], 0.95)


def test_skewed_values_move_the_corrected_interval() -> None:
    values = np.random.default_rng(0).lognormal(sigma=1.5, size=15)
    plain, corrected = bootstrap(values), bootstrap(values, method="BCa")
    assert corrected.upper > plain.upper


def test_one_subject_and_equal_subjects() -> None:
    alone = bootstrap([0.7])
    assert alone.estimate == 0.7
    assert math.isnan(alone.lower)
    assert math.isnan(alone.upper)
    alike = bootstrap([0.5, 0.5, 0.5], method="BCa")
    assert (alike.estimate, alike.lower, alike.upper) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("values", [[], [0.1, float("nan")], [[0.1, 0.2]]])
def test_what_is_not_one_number_per_subject_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="one number per subject and none of them NaN"):
        bootstrap(values)


def test_paired_difference_sees_what_hard_cases_hide() -> None:
    better = DICE + np.random.default_rng(2).normal(0.03, 0.01, DICE.size)
    found = paired_difference(list(better), list(DICE))
    assert found == bootstrap(better - DICE)
    assert found.lower > 0
    assert bootstrap(better).lower < bootstrap(DICE).upper  # side by side they overlap
    back = paired_difference(list(DICE), list(better))
    assert back.estimate == pytest.approx(-found.estimate)
    with pytest.raises(ValueError, match="the same subjects twice, got 24 and 23"):
        paired_difference(list(better), list(DICE[1:]))
