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
