"""Scalings of the brain's values; the background is 0 afterwards.

Each takes the (N,) values of one contrast inside the brain and returns as many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from anomri.errors import BadIntensities
from anomri.recipe import Step, bind
from anomri.scan import Image, Mask

Values = NDArray[np.float32]  # (N,)
Scaling = Callable[..., Values]

NORMAL_DECILES = 2.563  # standard deviations between P10 and P90 of a normal distribution


def zscore(values: Values) -> Values:
    """Return (v − mean) / standard deviation.

    Raises:
        ValueError: all values are the same.
    """
    mean, deviation = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    return _scale(values, float(mean), float(mean + deviation))


def percentile(values: Values, *, low: float = 1, high: float = 99, clip: bool = False) -> Values:
    """Map percentile ``low`` to 0 and ``high`` to 1; below 0 becomes 0.

    Args:
        values: (N,) inside the brain.
        low: percentile that becomes 0.
        high: percentile that becomes 1.
        clip: cut at 1 too. By default what is brighter stays brighter, because lesions are.

    Raises:
        ValueError: the two percentiles have the same value.
    """
    bottom, top = np.percentile(values, [low, high])
    return _scale(values, float(bottom), float(top)).clip(0, 1 if clip else None)


def equalised(values: Values) -> Values:
    """Return each value's rank between 0 and 1: the histogram becomes flat.

    The rank of v is the share of brain voxels below it plus half the share of those equal to
    it, so that ties stay ties.

    Raises:
        ValueError: all values are the same.
    """
    if values.min() == values.max():
        raise ValueError("values that are all the same")
    ranks: Values = ((rankdata(values) - 0.5) / values.size).astype(np.float32)
    return ranks


def standardised(values: Values, *, low: float = -4, high: float = 8) -> Values:
    """Return (v − median) / s, cut at ``low`` and ``high``; s is (P90 − P10) / 2.563.

    For a normal distribution s is its standard deviation; a lesion moves it less.

    Args:
        values: (N,) inside the brain.
        low: smallest result.
        high: largest result.

    Raises:
        ValueError: the 10th and the 90th percentile are the same.
    """
    bottom, middle, top = np.percentile(values, [10, 50, 90])
    spread = (top - bottom) / NORMAL_DECILES
    return _scale(values, float(middle), float(middle + spread)).clip(low, high)


INTENSITIES: dict[str, Scaling] = {
    "zscore": zscore,
    "percentile": percentile,
    "equalised": equalised,
    "standardised": standardised,
}


def scale_in_brain(image: Image, brain: Mask, step: Step, names: Sequence[str]) -> None:
    """Scale each contrast within the brain, in place; the background becomes 0.

    Args:
        image: (C, I, J, K).
        brain: (I, J, K).
        step: the scaling, by name, with its options.
        names: of the C files, for errors.

    Raises:
        BadIntensities: a contrast does not vary within the brain.
        RecipeError: there is no such scaling or option.
    """
    scaling = bind(INTENSITIES, step)
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
            next_step="look at the scan; if its brain mask is wrong, give one",
        ) from error


def _scale(values: Values, bottom: float, top: float) -> Values:
    if not top > bottom:
        raise ValueError("values that are nearly all the same")
    scaled: Values = ((values - np.float32(bottom)) / np.float32(top - bottom)).astype(np.float32)
    return scaled
