from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anomri.scan import Grid
from anomri.synthesis.phantoms.anatomy import Anatomy, Atlas, MassEffect, _push, draw_anatomy


def _centre(anatomy: Anatomy, values: NDArray[Any]) -> NDArray[np.float64]:
    grid = Grid(shape=anatomy.brain.shape, affine=anatomy.affine)
    world = grid.to_world(np.argwhere(np.ones(values.shape)).astype(np.float64))
    centre: NDArray[np.float64] = (world * values.reshape(-1, 1)).sum(axis=0) / values.sum()
    return centre


def test_fractions_fill_the_brain_and_nothing_else(anatomy: Anatomy) -> None:
    total = anatomy.fluid + anatomy.grey + anatomy.white
    np.testing.assert_allclose(total, anatomy.brain, atol=1e-5)
    assert min(part.min() for part in (anatomy.fluid, anatomy.grey, anatomy.white)) >= 0
    assert (anatomy.ventricles <= anatomy.fluid).all()


@pytest.mark.parametrize("seed", range(4))
def test_volumes_are_those_of_people(atlas: Atlas, seed: int) -> None:
    person = draw_anatomy(np.random.default_rng(seed), atlas, spacing_mm=4.0)
    ml = 4.0**3 / 1000
    assert 1100 < person.brain.sum() * ml < 1950
    assert 0.3 < person.white.sum() / person.brain.sum() < 0.5
    assert 5 < person.ventricles.sum() * ml < 60


def test_ventricles_are_the_ones_in_the_middle(atlas: Atlas) -> None:
    grid = Grid(shape=atlas.brain.shape, affine=atlas.affine)
    world = grid.to_world(np.argwhere(atlas.ventricles > 0.3).astype(np.float64))
    np.testing.assert_allclose(world.mean(axis=0), [0, -15, 15], atol=5)
    assert np.abs(world[:, 0]).max() < 45
    assert world[:, 2].min() > -15


def test_people_differ_and_the_same_seed_does_not(atlas: Atlas, anatomy: Anatomy) -> None:
    other = draw_anatomy(np.random.default_rng(4), atlas, spacing_mm=4.0)
    same = draw_anatomy(np.random.default_rng(3), atlas, spacing_mm=4.0)
    np.testing.assert_array_equal(same.grey, anatomy.grey)
    apart = np.abs(other.white - anatomy.white)[anatomy.brain & other.brain]
    assert apart.mean() > 0.05


def test_the_grid_lies_on_the_atlas(atlas: Atlas, anatomy: Anatomy) -> None:
    assert anatomy.spacing_mm == 4.0
    np.testing.assert_allclose(np.diag(anatomy.affine), [4, 4, 4, 1])
    np.testing.assert_allclose(anatomy.affine[:3, 3], atlas.affine[:3, 3])
    # The middle of the brain stays near the atlas's, about (0, -20, 10) mm.
    np.testing.assert_allclose(_centre(anatomy, anatomy.brain), [0, -20, 10], atol=12)


def test_a_push_is_strongest_at_its_radius_and_points_outwards() -> None:
    mass = MassEffect(centre_mm=np.zeros(3), radius_mm=10.0, push_mm=3.0)
    where = np.zeros((3, 41, 1, 1), np.float32)
    where[0, :, 0, 0] = np.arange(-20, 21)
    push = _push(where, np.zeros(3), mass)[0, :, 0, 0]
    assert push[20 + 10] == pytest.approx(3.0)
    assert push[20 - 10] == pytest.approx(-3.0)
    assert push[20] == 0
    assert np.abs(push).max() == pytest.approx(3.0)
    # Sampling nearer to the centre moves tissue outwards, and never past its neighbour.
    assert np.diff(where[0, :, 0, 0] - push).min() > 0


def test_a_mass_beside_the_ventricles_pushes_them_away(atlas: Atlas) -> None:
    mass = MassEffect(centre_mm=np.array([46.0, -15.0, 20.0]), radius_mm=22.0, push_mm=8.0)
    alone = draw_anatomy(np.random.default_rng(0), atlas, spacing_mm=4.0)
    pushed = draw_anatomy(np.random.default_rng(0), atlas, spacing_mm=4.0, mass=mass)
    shift = _centre(pushed, pushed.ventricles) - _centre(alone, alone.ventricles)
    assert shift[0] < -0.5
