"""Masks that hypothesis draws, and cases that are quick to make."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from anomri.scan import Mask, Volume

Case = tuple[Volume, Mask, Mask]


@pytest.fixture
def make_case() -> Callable[..., Case]:
    """Values, truth and brain of a small case; the values rank lesions somewhat higher."""

    def make(seed: int, *, levels: int = 0, share: float = 0.1) -> Case:
        rng = np.random.default_rng(seed)
        shape = (9, 8, 7)
        brain: NDArray[np.bool_] = rng.random(shape) < 0.8
        truth: NDArray[np.bool_] = rng.random(shape) < share
        values = rng.normal(size=shape) + truth
        if levels:
            values = np.round(values * levels) / levels  # many ties
        return values.astype(np.float32), truth, brain

    return make
