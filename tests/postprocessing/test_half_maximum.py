"""Bright parts in dark and in grey tissue, blurred, whose true border is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anomri.postprocessing import SegmentationState
from anomri.postprocessing.half_maximum import grow_to_half_maximum
from anomri.scan import Mask, Volume

SHAPE, LEVEL = (40, 40, 40), 1.5
RADIUS = np.sqrt(sum((axis - 20.0) ** 2 for axis in np.indices(SHAPE)))
EVERYWHERE = np.ones(SHAPE, bool)


def blurred(part: Mask, bright: float, dark: float) -> Volume:
    """Return a part of one brightness in tissue of another, as a scanner would blur it."""
    return ndimage.gaussian_filter(np.where(part, bright, dark).astype(np.float32), 1.2)


def above(values: Volume, within: Mask) -> SegmentationState:
    brain = np.ones_like(within)
    return SegmentationState(values, brain, (1, 1, 1), 1e-3, (values > LEVEL) & within)


def grown(values: Volume, within: Mask = EVERYWHERE, mm: float = 6) -> Mask:
    return grow_to_half_maximum(above(values, within), within, mm=mm).lesion


def test_a_shell_in_dark_tissue_is_as_thick_as_it_was_drawn() -> None:
    shell = (RADIUS < 12) & (RADIUS > 8)
    values = blurred(shell, 2.5, -1)
    found, before = grown(values), values > LEVEL
    assert before.sum() < 0.75 * shell.sum()
    assert abs(int(found.sum()) - int(shell.sum())) < 0.1 * shell.sum()
    assert (found & shell).sum() > 0.95 * shell.sum()


def test_a_part_in_grey_tissue_stays_at_the_level() -> None:
    """Half way is above the level here."""
    values = blurred(RADIUS < 10, 6, 0.5)
    np.testing.assert_array_equal(grown(values), values > LEVEL)


def test_no_part_grows_below_half_of_the_level() -> None:
    values = blurred(RADIUS < 10, 2, -4)
    found = grown(values)
    assert values[found].min() > LEVEL / 2
    assert found.sum() > (values > LEVEL).sum()


def test_parts_have_levels_of_their_own() -> None:
    """One of two parts lies in dark tissue, and only that one grows."""
    left = np.indices(SHAPE)[0] < 20
    ball = np.minimum(
        *(np.linalg.norm(np.indices(SHAPE).T - centre, axis=-1).T for centre in PLACES)
    )
    values = np.where(left, blurred(ball < 5, 2.2, -0.8), blurred(ball < 5, 6, 0.6))
    found, before = grown(values.astype(np.float32)), values > LEVEL
    assert (found & left).sum() > 1.2 * (before & left).sum()
    np.testing.assert_array_equal(found & ~left, before & ~left)


PLACES = ((9, 20, 20), (30, 20, 20))


@pytest.mark.parametrize("within", [RADIUS < 11, np.indices(SHAPE)[1] < 20])
def test_nothing_outside_joins(within: Mask) -> None:
    found = grown(blurred(RADIUS < 10, 2, -1), within)
    assert found.any()
    assert not found[~within].any()


def test_what_is_farther_or_apart_does_not_join() -> None:
    values = blurred(RADIUS < 8, 2.5, -1)
    values[RADIUS > 12] = 1.2  # above half the level, not connected
    values[20, 20, 26:] = 1.2  # connected, and longer than 3 mm
    found = grown(values, mm=3)
    assert found[20, 20, 27]
    assert not found[20, 20, 31:].any()
    assert not found[RADIUS > 13].any()


def test_nothing_bright_stays_nothing() -> None:
    assert not grown(np.zeros(SHAPE, np.float32)).any()
