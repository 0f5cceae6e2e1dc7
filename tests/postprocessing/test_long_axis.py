"""Long axes of lesions whose length is known, whatever the orientation of their grid."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from anomri.postprocessing import findings
from anomri.postprocessing.long_axis import long_axis_mm
from anomri.scan import AnomalyMap, Grid, Scan


def grid(*spacing: float, turned: float = 0.0) -> Grid:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [turned, -turned, 2 * turned], degrees=True)
    affine[:3, :3] = turn.as_matrix() @ np.diag([-spacing[0], *spacing[1:]])
    return Grid(shape=(60, 60, 60), affine=affine)


def index(*voxels: tuple[int, int, int]) -> NDArray[np.intp]:
    return np.array(voxels, dtype=np.intp)


@pytest.mark.parametrize("turned", [0, 17])
def test_a_row_is_as_long_as_its_voxels_together(turned: float) -> None:
    where = grid(1.5, 1.5, 2, turned=turned)
    assert long_axis_mm(index((3, 3, 3)), where) == pytest.approx(1.5)
    assert long_axis_mm(index((3, 3, 3), (4, 3, 3)), where) == pytest.approx(3)
    assert long_axis_mm(index((3, 3, 3), (3, 3, 4), (3, 3, 5)), where) == pytest.approx(6)
    diagonal = index((3, 3, 3), (4, 4, 3))  # from corner to corner of two squares of 1.5 mm
    assert long_axis_mm(diagonal, where) == pytest.approx(2 * 1.5 * np.sqrt(2))


@pytest.mark.parametrize("turned", [0, 17])
def test_thick_slices_are_measured_one_by_one(turned: float) -> None:
    """By hand: four slices of 6 mm with one voxel each, and two voxels of 1 mm in another."""
    column = index(*((3, 3, k) for k in range(4)))
    assert long_axis_mm(column, grid(1, 1, 6, turned=turned)) == pytest.approx(1)
    wider = np.vstack([column, index((4, 3, 2))])
    assert long_axis_mm(wider, grid(1, 1, 6, turned=turned)) == pytest.approx(2)
    sagittal = index(*((i, 3, 3) for i in range(4)))
    assert long_axis_mm(sagittal, grid(6, 1, 1, turned=turned)) == pytest.approx(1)
    assert long_axis_mm(column, grid(1, 1, 1.9, turned=turned)) == pytest.approx(4 * 1.9)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1, 1, 5), (0.8, 1.2, 1.3)])
def test_a_large_ellipsoid_is_as_long_as_its_axis(spacing: tuple[float, float, float]) -> None:
    where = grid(*spacing, turned=23)
    inside = np.indices(where.shape).reshape(3, -1).T
    away = (inside - 30) * spacing / np.array([20, 9, 7])
    lesion = inside[(away**2).sum(axis=1) <= 1]
    assert long_axis_mm(lesion, where) == pytest.approx(40, abs=2 * max(spacing[:2]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_large_flat_or_straight_lesion_has_an_axis_too(axis: int) -> None:
    line = np.zeros((60, 3), np.intp)
    line[:, axis] = np.arange(60)
    sheet = np.stack(np.meshgrid(range(9), range(12), [5], indexing="ij"), -1).reshape(-1, 3)
    assert long_axis_mm(line, grid(1, 1, 1)) == pytest.approx(60)
    assert long_axis_mm(sheet, grid(1, 1, 1)) == pytest.approx(np.hypot(8, 11) * (1 + 1 / 11))


def test_each_finding_has_its_own(ball_scan: Scan) -> None:
    mask = np.zeros(ball_scan.brain.shape, bool)
    mask[10:15, 10, 10] = mask[20, 20:22, 20] = True
    values = np.ones((1, *mask.shape), np.float32)
    anomaly = AnomalyMap(scan=ball_scan, values=values, reconstruction=values, score="residual")
    lengths = [finding.long_axis_mm for finding in findings(mask, anomaly)]
    side = ball_scan.grid.spacing[0]
    assert lengths == pytest.approx([5 * side, 2 * side])
