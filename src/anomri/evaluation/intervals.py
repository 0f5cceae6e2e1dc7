"""How sure a mean over subjects is: bootstrap intervals.

Subjects are drawn, with replacement, never voxels or slices: those of one brain are not
independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Statistic = Callable[..., Any]  # takes an array and ``axis``

# Subjects drawn at a time, over all resamples: memory does not grow with the cohort.
DRAWN_AT_ONCE = 10_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and where it would lie for other subjects of the same kind.

    Attributes:
        estimate: the statistic of the subjects at hand.
        lower: lower end; NaN for a single subject.
        upper: upper end; NaN for a single subject.
    """

    estimate: float
    lower: float
    upper: float


def bootstrap(
    values: ArrayLike,
    *,
    statistic: Statistic = np.mean,
    level: float = 0.95,
    method: Literal["percentile", "BCa"] = "percentile",
    seed: int = 0,
) -> Interval:
    """Return a statistic with its bootstrap interval from 9999 resamples of the subjects.

    Args:
        values: (N,) one number per subject.
        statistic: maps an array to numbers along ``axis``.
        level: share of resamples inside the interval.
        method: the percentiles of the resamples, or these corrected for bias and skewness.
        seed: the same one gives the same interval.

    Raises:
        ValueError: there is no subject, or a value is NaN: whether such a subject is left out is
            for the caller to decide and to say.
    """
    subjects = _numbers(values)
    estimate = float(statistic(subjects, axis=0))
    if subjects.size == 1:
        return Interval(estimate, float("nan"), float("nan"))
    if np.ptp(subjects) == 0:
        return Interval(estimate, estimate, estimate)
    result = stats.bootstrap(
        (subjects,),
        statistic,
        confidence_level=level,
        method=method,
        batch=max(DRAWN_AT_ONCE // subjects.size, 1),
        rng=np.random.default_rng(seed),
        vectorized=True,
    )
    low, high = result.confidence_interval
    return Interval(estimate, float(low), float(high))


def paired_difference(first: Sequence[float], second: Sequence[float], **options: Any) -> Interval:
    """Return the interval of ``first - second`` over the same subjects in the same order.

    It is narrower than the two intervals beside each other suggest: a subject that is hard for
    one model is hard for the other. Zero outside it speaks for a difference.

    Args:
        first: (N,) one number per subject.
        second: (N,) of the same subjects.
        options: of :func:`bootstrap`.

    Raises:
        ValueError: the lengths differ, or as :func:`bootstrap`.
    """
    ours, theirs = _numbers(first), _numbers(second)
    if ours.size != theirs.size:
        raise ValueError(f"expected the same subjects twice, got {ours.size} and {theirs.size}")
    return bootstrap(ours - theirs, **options)


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not numbers.size or np.isnan(numbers).any():
        raise ValueError(
            "bootstrap: expected a row of numbers, one per subject and none of them NaN, got "
            f"shape {numbers.shape} with {np.count_nonzero(np.isnan(numbers))} NaN"
        )
    return numbers
