"""Intensity scalings within the brain; the background becomes 0.

Each function maps the (N,) values of one contrast inside the brain to (N,) scaled values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from anomri.errors import BadIntensities
from anomri.preprocessing.percentiles import percentiles
from anomri.recipe import Step, bind
from anomri.scan import Image, Mask

Values = NDArray[np.float32]  # (N,)
Scaling = Callable[..., Values]

NORMAL_DECILES = 2.563  # standard deviations from P10 to P90 of a normal distribution


def zscore(values: Values) -> Values:
    """Return (v - mean) / standard deviation.

    Raises:
        ValueError: all values are equal.
    """
    mean, sd = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    return _scale(values, float(mean), float(mean + sd))


def percentile_range(
    values: Values, *, low: float = 1, high: float = 99, clip: bool = False
) -> Values:
    """Map percentile ``low`` to 0 and ``high`` to 1, clipped at 0.

    Args:
        values: (N,) inside the brain.
        low: percentile that becomes 0.
        high: percentile that becomes 1.
        clip: clip at 1 too. By default brighter values stay above 1, as lesions may be bright.

    Raises:
        ValueError: the two percentiles are equal.
    """
    bottom, top = percentiles(values, [low, high])
    return _scale(values, float(bottom), float(top)).clip(0, 1 if clip else None)


def histogram_equalised(values: Values) -> Values:
    """Return each value's rank between 0 and 1, which equalises the histogram.

    The rank of v is the fraction of brain voxels below it plus half the fraction equal to it, so
    that ties stay ties.

    Raises:
        ValueError: all values are equal.
    """
    if values.min() == values.max():
        raise ValueError("values that are all the same")
    ranks: Values = ((rankdata(values) - 0.5) / values.size).astype(np.float32)
    return ranks


def robust_zscore(values: Values, *, low: float = -4, high: float = 8) -> Values:
    """Return (v - median) / s, clipped to ``low`` and ``high``, with s = (P90 - P10) / 2.563.

    For a normal distribution s is the standard deviation, but lesions affect it less.

    Args:
        values: (N,) inside the brain.
        low: smallest result.
        high: largest result.

    Raises:
        ValueError: the 10th and the 90th percentile are equal.
    """
    p10, median, p90 = percentiles(values, [10, 50, 90])
    spread = (p90 - p10) / NORMAL_DECILES
    return _scale(values, float(median), float(median + spread)).clip(low, high)


INTENSITY_SCALINGS: dict[str, Scaling] = {
    "zscore": zscore,
    "percentile": percentile_range,
    "equalised": histogram_equalised,
    "standardised": robust_zscore,
}


def scale_in_brain(image: Image, brain: Mask, step: Step, names: Sequence[str]) -> None:
    """Scale each contrast within the brain, in place; the background becomes 0.

    Args:
        image: (C, I, J, K).
        brain: (I, J, K) bool.
        step: name and options of the scaling.
        names: names of the C files, for errors.

    Raises:
        BadIntensities: a contrast is constant within the brain.
        RecipeError: unknown scaling or option.
    """
    scaling = bind(INTENSITY_SCALINGS, step)
    for channel, name in zip(image, names, strict=True):
        values = channel[brain]
        channel[:] = 0
        channel[brain] = _scaled(values, scaling, name)


def _scaled(values: Values, scaling: Scaling, name: str) -> Values:
    try:
        return scaling(values)
    except ValueError as error:
        raise BadIntensities(
            name,
            expected="values that vary within the brain",
            got=str(error),
            next_step="check the scan; if its brain mask is wrong, provide one",
        ) from error


def _scale(values: Values, bottom: float, top: float) -> Values:
    if not top > bottom:
        raise ValueError("values that are nearly all the same")
    scaled: Values = ((values - np.float32(bottom)) / np.float32(top - bottom)).astype(np.float32)
    return scaled
