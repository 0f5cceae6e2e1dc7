"""Distances around a box are those of the whole brain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anomri.postprocessing.location.fluid import APART_MM, FluidSpaces
from anomri.scan import Mask, Volume

SHAPE, SPACING = (40, 36, 12), (1.5, 1.5, 5.0)
BOX = (slice(0, 9), slice(12, 20), slice(4, 12))


def distance_mm(mask: Mask) -> Volume:
    return ndimage.distance_transform_edt(~mask, sampling=SPACING).astype(np.float32)


def spaces(seed: int) -> FluidSpaces:
    """Return scattered fluid, some of it in ventricles."""
    draw = np.random.default_rng(seed).random((3, *SHAPE))
    ventricles, fluid, brain = draw[0] > 0.999, draw[1] > 0.98, draw[2] < 0.999
    return FluidSpaces(fluid, ventricles, brain, np.zeros(SHAPE, np.float32), SPACING)


@pytest.mark.parametrize("seed", range(4))
def test_distances_around_a_box_are_those_of_the_whole_brain(seed: int) -> None:
    there = spaces(seed)
    assert there.ventricles is not None
    assert there.fluid is not None
    ventricle_mm = distance_mm(there.ventricles)
    surface_mm = distance_mm(~there.brain | (there.fluid & (ventricle_mm > APART_MM)))
    for mm in (0.0, 5.0, 7.5):
        assert np.array_equal(there.near_ventricles(BOX, mm), ventricle_mm[BOX] <= mm)
        assert np.array_equal(there.near_surface(BOX, mm), surface_mm[BOX] <= mm)


def test_nothing_is_near_fluid_that_is_not_there() -> None:
    nothing, everything = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
    there = FluidSpaces(nothing, nothing, everything, np.zeros(SHAPE, np.float32), SPACING)
    assert not there.near_ventricles(BOX, 5).any()
    assert not there.near_surface(BOX, 5).any()
