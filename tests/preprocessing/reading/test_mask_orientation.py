"""A lesion mask that is flipped against its scan is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.preprocessing.reading.mask_orientation import flipped_axes
from anomri.scan import Mask, Volume

SHAPE = (40, 48, 36)


def ball(centre: tuple[int, int, int], radius: float) -> Mask:
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    return np.asarray(np.linalg.norm(index - centre, axis=-1) <= radius)


@pytest.fixture
def brain() -> Mask:
    return ball((20, 24, 18), 16)


@pytest.fixture
def lesion() -> Mask:
    return ball((12, 18, 22), 4)


@pytest.fixture
def flair(brain: Mask, lesion: Mask) -> Volume:
    noise = np.random.default_rng(0).normal(100, 5, SHAPE)
    return np.where(brain, noise + 40 * lesion, 0).astype(np.float32)


@pytest.mark.parametrize(
    ("axes", "names"),
    [
        ((), ""),
        ((0,), "left to right"),
        ((1,), "back to front"),
        ((0, 2), "left to right and top to bottom"),
    ],
)
def test_a_flipped_mask_is_recognised(
    flair: Volume, lesion: Mask, brain: Mask, axes: tuple[int, ...], names: str
) -> None:
    assert flipped_axes(np.flip(lesion, axes), flair, brain) == names


def test_a_mask_of_something_dark_or_of_nothing_is_not_judged(
    flair: Volume, lesion: Mask, brain: Mask
) -> None:
    assert flipped_axes(lesion & False, flair, brain) == ""
    assert flipped_axes(lesion, np.where(lesion, 60, flair).astype(np.float32), brain) == ""
    assert flipped_axes(lesion, np.full_like(flair, 7), brain) == ""
