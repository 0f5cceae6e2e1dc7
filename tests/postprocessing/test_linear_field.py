"""A field that brightens one side is removed, a lesion on one side is not."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.postprocessing import without_linear_field
from anomri.scan import Mask, Volume

SPACING = (2.0, 2.0, 4.0)
SHAPE = (48, 48, 24)


@pytest.fixture
def brain() -> Mask:
    offset = (np.indices(SHAPE) - np.array([24, 24, 12])[:, None, None, None]) / np.array(
        [22, 22, 11]
    )[:, None, None, None]
    return np.asarray((offset**2).sum(axis=0) < 1)


@pytest.fixture
def flat(brain: Mask) -> Volume:
    noise = np.random.default_rng(0).normal(1, 0.1, SHAPE)
    return np.where(brain, noise, 0).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_field_along_an_axis_is_removed(brain: Mask, flat: Volume, axis: int) -> None:
    slope = [0.0, 0.0, 0.0]
    slope[axis] = 0.006  # per mm: half as bright again over 70 mm
    mm = np.indices(SHAPE) * np.array(SPACING)[:, None, None, None]
    field = np.exp(np.tensordot(slope, mm - mm.mean(axis=(1, 2, 3), keepdims=True), axes=1))
    found = without_linear_field((flat * field).astype(np.float32), brain, SPACING)
    ratio = found[brain] / flat[brain]
    assert np.ptp(np.log(ratio)) < 0.05 < np.ptp(np.log(field[brain]))
    assert not found[~brain].any()


def test_a_bright_lesion_on_one_side_is_no_field(brain: Mask, flat: Volume) -> None:
    lesion = np.zeros(SHAPE, bool)
    lesion[30:40, 18:30, 8:16] = True
    values = np.where(lesion, 2 * flat, flat)
    found = without_linear_field(values, brain, SPACING)
    np.testing.assert_allclose(found[lesion], values[lesion], rtol=0.02)


def test_a_brain_without_tissue_away_from_its_rim_stays_as_it_is(flat: Volume) -> None:
    thin = np.zeros(SHAPE, bool)
    thin[:, :, 10:12] = True
    np.testing.assert_array_equal(
        without_linear_field(flat, thin, SPACING), np.where(thin, flat, 0)
    )
    assert not without_linear_field(flat, np.zeros(SHAPE, bool), SPACING).any()
