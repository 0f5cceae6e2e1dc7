from __future__ import annotations

import numpy as np
import pytest

from anomri.postprocessing import Places
from anomri.scan import Grid

SHAPE = (40, 50, 30)


def places(offset: float = 0.0) -> Places:
    brain = np.zeros(SHAPE, bool)
    brain[5:35, 5:45, 3:27] = True
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[0, 3] = offset
    return Places.of(brain, Grid(shape=SHAPE, affine=affine))


@pytest.mark.parametrize(
    ("voxel", "name"),
    [
        ((30, 40, 24), "right, anterior, upper"),
        ((10, 25, 15), "left, middle, central"),
        ((20, 8, 5), "midline, posterior, lower"),
    ],
)
def test_a_place_is_named_by_side_and_thirds(voxel: tuple[int, int, int], name: str) -> None:
    for offset in (0.0, -137.0):  # the brain's own midline, wherever the scanner's origin is
        centre = (2.0 * voxel[0] + offset, 2.0 * voxel[1], 3.0 * voxel[2])
        assert places(offset).name(centre) == name


def test_a_file_that_runs_the_other_way_changes_no_name() -> None:
    brain = np.zeros(SHAPE, bool)
    brain[5:35, 5:45, 3:27] = True
    flipped = np.diag([-2.0, 2.0, 3.0, 1.0])
    assert (
        Places.of(brain, Grid(shape=SHAPE, affine=flipped)).name((-60, 80, 72)).startswith("left")
    )


def test_a_point_outside_still_has_a_name() -> None:
    assert places().name((500, 500, -500)) == "right, anterior, lower"


def test_without_a_brain_the_grid_counts() -> None:
    empty = Places.of(np.zeros((4, 4, 4), bool), Grid(shape=(4, 4, 4), affine=np.eye(4) * 20))
    assert empty.name((60, 60, 60)) == "right, anterior, upper"


@pytest.mark.parametrize("turned", [0.0, 1e-3])
def test_axes_are_measured_over_all_voxels_of_the_brain(turned: float) -> None:
    random = np.random.default_rng(1)
    brain = random.random((7, 8, 9)) < 0.2
    affine = np.array([[0, -2.5, 0, 7], [0, turned, 3, -9], [1.2, 0, 0, 0.3], [0, 0, 0, 1]])
    grid = Grid(shape=brain.shape, affine=affine)
    measured, world = Places.of(brain, grid), grid.to_world(np.argwhere(brain).astype(float))
    assert measured.midline_mm == np.median(world[:, 0])
    assert (measured.low_mm == world.min(axis=0)).all()
    assert (measured.high_mm == world.max(axis=0)).all()
