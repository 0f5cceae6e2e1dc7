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


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not numbers.size or np.isnan(numbers).any():
        raise ValueError(
            "bootstrap: expected one number per subject and none of them NaN, got "
            f"shape {numbers.shape} with {np.count_nonzero(np.isnan(numbers))} NaN"
        )
    return numbers
