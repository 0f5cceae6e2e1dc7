"""Images other than an MRI of a correctly oriented head are refused, with the real deepbet."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from anomri.errors import QualityRefused
from anomri.preprocessing.brain import find_brain
from anomri.scan import Grid, Mask, Volume

Head = tuple[Volume, Mask, Grid]

SIDE_MM = 4.0

ORGANS = (  # centre mm, radii mm, value
    ((0, 0, 0), (170, 115, 400), 900),  # fat
    ((0, 5, 0), (150, 95, 400), 350),  # muscle and bowel
    ((0, -60, 0), (22, 20, 400), 650),  # spine
    ((0, -85, 0), (8, 8, 400), 80),  # its canal
    ((70, 20, 60), (75, 70, 80), 480),  # liver
    ((-95, -30, 70), (35, 45, 55), 560),  # spleen
    ((60, -50, -40), (28, 25, 55), 700),  # kidneys
    ((-60, -50, -40), (28, 25, 55), 700),
    ((20, 50, -20), (30, 20, 40), 20),  # gas
    ((-40, 45, 10), (25, 25, 30), 30),
)


def grid_of(shape: tuple[int, int, int]) -> Grid:
    """Cubes of 4 mm about the world's origin."""
    affine = np.diag([SIDE_MM, SIDE_MM, SIDE_MM, 1.0])
    affine[:3, 3] = -SIDE_MM * (np.array(shape) - 1) / 2
    return Grid(shape=shape, affine=affine)


def distance(grid: Grid, centre: tuple[int, ...], radii: tuple[int, ...]) -> NDArray[np.float64]:
    """Distance from an ellipsoid's centre, 1 on its surface."""
    world = np.moveaxis(np.indices(grid.shape), 0, -1) * SIDE_MM + grid.affine[:3, 3]
    return np.asarray(np.linalg.norm((world - centre) / radii, axis=-1), dtype=np.float64)


@pytest.fixture(scope="module")
def abdomen() -> tuple[Volume, Grid]:
    """A torso of 340 x 230 x 300 mm with organs, texture and noise in the air."""
    grid, rng = grid_of((96, 72, 75)), np.random.default_rng(0)
    values = np.zeros(grid.shape)
    for centre, radii, value in ORGANS:
        values[distance(grid, centre, radii) < 1] = value
    texture = ndimage.gaussian_filter(rng.normal(0, 1, grid.shape), 2) * 300
    values += np.where(values > 100, texture, 0)
    return np.abs(values + rng.normal(0, 12, grid.shape)).astype(np.float32), grid


@pytest.mark.parametrize("known", [True, False])
def test_an_abdomen_is_refused(abdomen: tuple[Volume, Grid], known: bool) -> None:
    with pytest.raises(QualityRefused, match="expected a brain") as caught:
        find_brain(*abdomen, spacing_known=known)
    assert caught.value.exit_code == 5
    assert caught.value.evidence is not None


@pytest.mark.parametrize("air", [-1000, -1024])
def test_a_ct_of_a_head_is_refused(head: Head, air: int) -> None:
    values, brain, grid = head
    scalp = (values > 0.6) & ~brain
    inside = ndimage.binary_fill_holes(scalp | brain)
    volume = np.where(inside, 1100.0, air)
    volume[scalp] = -90
    # White matter is slightly darker than grey matter, by little more than the noise.
    volume[brain] = 38 - 8 * values[brain] / values[brain].max()
    volume += np.where(inside, np.random.default_rng(0).normal(0, 5, volume.shape), 0)
    with pytest.raises(QualityRefused, match="got a CT") as caught:
        find_brain(volume.astype(np.float32), grid)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("turn", [np.s_[:, :, ::-1], np.s_[:, ::-1], np.s_[:, ::-1, ::-1]])
def test_a_head_whose_header_has_the_wrong_orientation_is_refused(
    head: Head, turn: tuple[slice, ...]
) -> None:
    values, _, grid = head
    with pytest.raises(QualityRefused, match="half a turn") as caught:
        find_brain(np.ascontiguousarray(values[turn]), grid)
    assert caught.value.exit_code == 5


def test_smooth_noise_is_refused() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (48, 48, 48)), 2)
    with pytest.raises(QualityRefused, match="expected a brain of 200 to 2200 ml, got 2239 ml"):
        find_brain(np.abs(noise).astype(np.float32), grid_of((48, 48, 48)))
