"""Smoothing along the edges of another volume."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.postprocessing.guided_filter import guided_filter
from anomri.scan import Mask, Volume

SHAPE, SPACING = (40, 12, 12), (1.0, 1.0, 2.0)
BRAIN = np.ones(SHAPE, bool)
EDGE = np.where(np.arange(SHAPE[0])[:, None, None] < 20, 3, 0) * np.ones(SHAPE, np.float32)


def filtered(values: Volume, guide: Volume, brain: Mask = BRAIN) -> Volume:
    return guided_filter(values, guide, brain, sigma_mm=2, noise=0.2, spacing=SPACING)


def test_an_edge_that_both_have_stays_sharp() -> None:
    noisy = EDGE + np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    result = filtered(noisy, EDGE)
    assert np.abs(result - EDGE).max() < 0.8
    assert (result - EDGE).std() < 0.25


def test_without_an_edge_of_the_guide_the_result_is_smooth() -> None:
    result = filtered(EDGE, np.zeros_like(EDGE))
    assert np.abs(np.diff(result[:, 6, 6])).max() < 0.6


@pytest.mark.parametrize("value", [-2.0, 0.0, 3.5])
def test_a_constant_is_kept_also_at_the_rim_of_the_brain(value: float) -> None:
    brain = BRAIN.copy()
    brain[:7] = False
    constant = np.full(SHAPE, value, np.float32)
    np.testing.assert_allclose(filtered(constant, EDGE, brain)[brain], value, atol=1e-4)


def test_what_is_outside_the_brain_does_not_matter() -> None:
    brain = BRAIN.copy()
    brain[30:] = False
    other = EDGE.copy()
    other[30:] = 100
    one, two = (filtered(EDGE, guide, brain)[brain] for guide in (EDGE, other))
    np.testing.assert_array_equal(one, two)
