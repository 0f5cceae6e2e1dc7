from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from anomri.preprocessing import percentiles

Values = NDArray[np.float32]
KINDS: dict[str, Callable[[Values], Values]] = {
    "continuous": lambda normal: normal,
    "few different": lambda normal: np.round(3 * normal),
    "in order": np.sort,
    "mostly background": lambda normal: np.where(normal < 0.5, np.float32(0), normal),
    "a long tail": lambda normal: np.exp(4 * normal),
    "unlike its sample": lambda normal: np.where(np.arange(normal.size) % 32, normal + 90, normal),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 1000, 131_072, 131_075])
def test_they_are_those_of_numpy_to_the_last_bit(kind: str, size: int) -> None:
    values = KINDS[kind](np.random.default_rng(size).normal(size=size).astype(np.float32))
    asked = (0, 0.5, 10, 37.3, 50, 63.7, 99.8, 100)
    found = percentiles(values, asked)
    np.testing.assert_array_equal(found, np.percentile(values, asked), strict=True)
