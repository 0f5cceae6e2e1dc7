"""Small candidates to work on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike

from anomri.postprocessing import SegmentationState

MakeState = Callable[..., SegmentationState]


@pytest.fixture
def state_of() -> MakeState:
    """Make a candidate of values or of a mask, all of it brain unless said otherwise."""

    def make(
        values: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        brain: ArrayLike | None = None,
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> SegmentationState:
        given = None if mask is None else np.asarray(mask, dtype=bool)
        array = np.asarray(values if given is None else given, dtype=np.float32)
        inside = np.ones(array.shape, bool) if brain is None else np.asarray(brain, bool)
        return SegmentationState(array, inside, spacing, float(np.prod(spacing)) * 1e-3, given)

    return make
