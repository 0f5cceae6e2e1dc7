"""The template's anatomy on grids that are turned, cut off or elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anomri.preprocessing import anatomy_on, index_map, sample, tissues_on
from anomri.preprocessing.template.template_anatomy import FARTHEST_MM, template_anatomy
from anomri.scan import Affine, Grid

SHAPE = (50, 56, 40)


def turned(shift_mm: tuple[float, float, float]) -> Affine:
    """Return scan mm to template mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (12, -6, 10), degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


@pytest.mark.parametrize("shift_mm", [(-80, -110, -60), (-20, -110, -10), (-80, 0, 30)])
def test_what_is_left_out_of_the_resampling_is_constant(
    shift_mm: tuple[float, float, float],
) -> None:
    grid, template = Grid(shape=SHAPE, affine=np.diag([3, 3, 4, 1.0])), template_anatomy()
    here = Grid(shape=SHAPE, affine=turned(shift_mm) @ grid.affine)
    matrix = index_map(template.grid, here)
    away = sample(template.ventricle_mm - FARTHEST_MM, matrix, SHAPE, linear=True)
    below = sample(template.infratentorial, matrix, SHAPE, linear=True) > 0.5
    anatomy = anatomy_on(grid, turned(shift_mm))
    assert anatomy is not None
    assert np.allclose(anatomy.ventricle_mm, away + FARTHEST_MM, atol=1e-4)
    assert np.array_equal(anatomy.infratentorial, below)
    assert anatomy.ventricle_mm.min() < FARTHEST_MM


def test_a_grid_elsewhere_is_far_from_the_ventricles() -> None:
    grid = Grid(shape=SHAPE, affine=np.diag([3, 3, 4, 1.0]))
    for shift_mm in ((0, 900, 0), (0, -900, 0)):
        anatomy = anatomy_on(grid, turned(shift_mm))
        assert anatomy is not None
        assert (anatomy.ventricle_mm == FARTHEST_MM).all()
        assert not anatomy.infratentorial.any()
        assert anatomy.make_cortex_mm().min() > FARTHEST_MM


def test_tissues_are_where_the_template_has_them() -> None:
    template, shift = template_anatomy(), (-80, -110, -60)
    affine = np.linalg.inv(turned(shift)) @ np.diag([2, 2, 2, 1.0])
    grid = Grid(shape=SHAPE, affine=affine.astype(np.float64))
    tissues = tissues_on(grid, turned(shift))
    assert tissues is not None
    origin = np.rint(np.linalg.solve(template.grid.affine, [0, 0, 0, 1.0])).astype(int)[:3]
    box = tuple(slice(start, start + n) for start, n in zip(origin, SHAPE, strict=True))
    for found, whole in zip(tissues, (template.grey, template.white), strict=True):
        expected = whole[box]
        inside = tuple(slice(n) for n in expected.shape)
        np.testing.assert_allclose(found[inside], expected, atol=1e-4)
    assert tissues_on(grid, None) is None
