"""Bootstrap confidence intervals over subjects.

Subjects are resampled, never voxels or slices, because those of one brain are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Statistic = Callable[..., Any]  # takes an array and ``axis``

# Subjects per batch, over all resamples, so that memory does not grow with the cohort.
MAX_BATCH = 10_000_000
RESAMPLES = 9999


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: the statistic of the sample.
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
        level: confidence level.
        method: percentiles of the resamples, or these corrected for bias and skewness.
        seed: seed of the resampling.

    Raises:
        ValueError: there is no subject, or a value is NaN; the caller has to decide, and report,
            whether to exclude such subjects.
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
        batch=max(MAX_BATCH // subjects.size, 1),
        rng=np.random.default_rng(seed),
        vectorized=True,
    )
    low, high = result.confidence_interval
    return Interval(estimate, float(low), float(high))


def paired_difference(first: Sequence[float], second: Sequence[float], **options: Any) -> Interval:
    """Return the interval of ``first - second`` over the same subjects in the same order.

    It is narrower than the two separate intervals suggest, because subjects that are hard for one
    model are hard for the other. An interval without 0 indicates a difference.

    Args:
        first: (N,) one number per subject.
        second: (N,) numbers of the same subjects.
        options: options of :func:`bootstrap`.

    Raises:
        ValueError: the lengths differ, or as :func:`bootstrap`.
    """
    minuend, subtrahend = _numbers(first), _numbers(second)
    if minuend.size != subtrahend.size:
        raise ValueError(
            f"expected the same subjects twice, got {minuend.size} and {subtrahend.size}"
        )
    return bootstrap(minuend - subtrahend, **options)


def pooled_share(counts: ArrayLike, *, level: float = 0.95, seed: int = 0) -> Interval:
    """Return the share of things that have a property, over those of all subjects together.

    Args:
        counts: (N, 2) of each subject the number of its things, at least 1, and of those that have
            the property; subjects are resampled.
        level: confidence level.
        seed: seed of the resampling.

    Returns:
        The share with its percentile interval; NaN without subjects.
    """
    numbers = np.asarray(counts, dtype=np.int64).reshape(-1, 2)
    if not len(numbers):
        return Interval(float("nan"), float("nan"), float("nan"))
    estimate = float(numbers[:, 1].sum() / numbers[:, 0].sum())
    if len(numbers) == 1:
        return Interval(estimate, float("nan"), float("nan"))
    # How often each subject is drawn: memory does not grow with the number of things.
    even = np.full(len(numbers), 1 / len(numbers))
    draws = np.random.default_rng(seed).multinomial(len(numbers), even, size=RESAMPLES) @ numbers
    ends = (50 * (1 - level), 50 * (1 + level))
    lower, upper = np.percentile(draws[:, 1] / draws[:, 0], ends)
    return Interval(estimate, float(lower), float(upper))


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not numbers.size or np.isnan(numbers).any():
        raise ValueError(
            "bootstrap: expected one number per subject and none of them NaN, got "
            f"shape {numbers.shape} with {np.count_nonzero(np.isnan(numbers))} NaN"
        )
    return numbers
