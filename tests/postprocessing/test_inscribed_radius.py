"""The ball that fits into a lesion."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.postprocessing import largest_inscribed_radius_mm


def test_a_ball_has_its_radius() -> None:
    away = np.linalg.norm(np.indices((25, 25, 25)) - 12, axis=0)
    assert largest_inscribed_radius_mm(away < 8, (1.0, 1.0, 1.0)) == pytest.approx(8, abs=0.3)
    assert largest_inscribed_radius_mm(away < 8, (1.5, 1.5, 1.5)) == pytest.approx(12, abs=0.5)


def test_a_plate_is_as_thick_as_it_is_whatever_its_size() -> None:
    plate = np.zeros((40, 40, 9), bool)
    plate[2:38, 2:38, 3:6] = True
    assert largest_inscribed_radius_mm(plate, (1.0, 1.0, 1.4)) == pytest.approx(2.8)
    assert largest_inscribed_radius_mm(plate, (1.0, 1.0, 2.0)) == 3.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_ball_as_wide_as_a_slice_is_thick_does_not_fit_into_one(axis: int) -> None:
    lesion = np.zeros((30, 30, 5), bool)
    lesion[5:25, 5:25, 2] = True
    spacing = {0: (8.0, 1.0, 1.0), 1: (1.0, 8.0, 1.0), 2: (1.0, 1.0, 8.0)}[axis]
    assert largest_inscribed_radius_mm(np.moveaxis(lesion, 2, axis), spacing) == 4.0


def test_the_edge_of_the_array_is_outside() -> None:
    assert largest_inscribed_radius_mm(np.ones((3, 20, 20), bool), (1.0, 1.0, 1.0)) == 2.0


def test_nothing_has_no_radius() -> None:
    assert largest_inscribed_radius_mm(np.zeros((3, 3, 3), bool), (1.0, 1.0, 1.0)) == 0.0
