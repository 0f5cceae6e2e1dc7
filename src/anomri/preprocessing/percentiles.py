"""Percentiles of many values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LARGE = 1 << 16  # fewer values are sorted as fast as they are counted
SAMPLED = 4096
BAND = 0.03  # of the sample on both sides of a percentile, six standard errors of the median


def percentiles(values: NDArray[np.float32], percents: Sequence[float]) -> NDArray[np.float64]:
    """Return what :func:`numpy.percentile` returns for several percents, in a quarter of the time.

    A sample tells between which two values a percentile must lie. Only what lies between them is
    sorted; the rest is counted.

    Args:
        values: any shape, without NaN, at least one.
        percents: between 0 and 100. (For a single number NumPy computes in single precision.)
    """
    if values.size < LARGE:
        return np.asarray(np.percentile(values, percents), np.float64)
    flat = values.ravel()
    sample = np.sort(flat[:: flat.size // SAMPLED])
    return np.array([_percentile(flat, sample, percent) for percent in percents])


def _percentile(
    values: NDArray[np.float32], sample: NDArray[np.float32], percent: float
) -> np.float64:
    share = np.float64(percent) / 100
    position = (values.size - 1) * share
    rank = int(position)
    low, high = (int((share + side * BAND) * len(sample)) for side in (-1, 1))
    fits = np.ones(values.shape, np.bool_) if low < 0 else values >= sample[low]
    below = values.size - np.count_nonzero(fits)
    if high < len(sample):
        fits &= values <= sample[high]
    between = values[fits]
    if not below <= rank < rank + 1 < below + len(between):  # the sample was not representative
        return np.float64(np.percentile(values, [percent])[0])
    first, second = np.partition(between, (rank - below, rank + 1 - below))[rank - below :][:2]
    after, step = position - rank, second - first
    # As NumPy interpolates, from the nearer end.
    return np.float64(first + step * after if after < 0.5 else second - step * (1 - after))
