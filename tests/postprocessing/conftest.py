"""Small candidates to work on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import ArrayLike

from anomri.postprocessing import Candidate

MakeCandidate = Callable[..., Candidate]


@pytest.fixture
def candidate_of() -> MakeCandidate:
    """Make a candidate of values or of a mask, all of it brain unless said otherwise."""

    def make(
        values: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        brain: ArrayLike | None = None,
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> Candidate:
        given = None if mask is None else np.asarray(mask, dtype=bool)
        array = np.asarray(values if given is None else given, dtype=np.float32)
        inside = np.ones(array.shape, bool) if brain is None else np.asarray(brain, bool)
        return Candidate(array, inside, spacing, float(np.prod(spacing)) * 1e-3, given)

    return make


Places = Mapping[str, tuple[int, int, int]]


@pytest.fixture
def head_of() -> Callable[..., Candidate]:
    """Make a brain, alike on both sides, with bright balls in it and a rim around each.

    It is turned about K by ``tilt`` radians and then moved along its width by ``shift`` voxels.
    """

    def make(
        places: Places, *, bright: float, rim: float, tilt: float = 0.0, shift: float = 0.0
    ) -> Candidate:
        i, j, k = np.indices((49, 49, 25), dtype=np.float64)
        across = np.cos(tilt) * (i - 24) - np.sin(tilt) * (j - 24) - shift
        along = np.sin(tilt) * (i - 24) + np.cos(tilt) * (j - 24)
        brain = (across / 17) ** 2 + (along / 23) ** 2 + ((k - 12) / 11) ** 2 < 1
        values = np.zeros(brain.shape)
        for centre in places.values():
            distance = np.sqrt(sum((x - c) ** 2 for x, c in zip((i, j, k), centre, strict=True)))
            values = np.maximum(values, rim * (distance < 7))
            values = np.where(distance < 5, bright, values)
        image = np.where(brain, values, 0).astype(np.float32)
        return Candidate(image, brain, (2.0, 2.0, 2.0), 8e-3)

    return make
