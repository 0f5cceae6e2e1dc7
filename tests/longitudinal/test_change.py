"""Errors of volumes, classes and groups, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.longitudinal import ChangeClass, MeasuredVolume
from anomri.longitudinal.change import Brightness, classify, surface_errors_ml, within_error
from anomri.longitudinal.tracking import Group, group_lesions
from anomri.scan import Grid

SMALL, LARGE = MeasuredVolume(1.0, 0.8, 1.3), MeasuredVolume(2.0, 1.8, 2.2)


def test_the_surface_of_a_cube_counts_all_faces() -> None:
    lesions = np.zeros((6, 6, 6), np.int32)
    lesions[1:3, 1:3, 1:3] = 2
    grid = Grid(shape=(6, 6, 6), affine=np.diag([1.0, 2.0, 5.0, 1.0]))
    assert surface_errors_ml(lesions, grid) == pytest.approx([0, 0, 24 * 0.125 * 0.01])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (SMALL, MeasuredVolume(1.2, 0.9, 1.5), True),
        (SMALL, MeasuredVolume(1.2, 1.1, 1.5), False),  # its own error leaves out the earlier one
        (SMALL, LARGE, False),
        (MeasuredVolume(), SMALL, False),
        (MeasuredVolume(), MeasuredVolume(0.1, 0.0, 0.3), True),  # vanishes at a higher threshold
    ],
)
def test_a_change_inside_both_errors_is_within_error(
    before: MeasuredVolume, after: MeasuredVolume, expected: bool
) -> None:
    assert within_error(before, after) is expected
    assert within_error(after, before) is expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [LARGE], ChangeClass.NEW),
        ([LARGE], [], ChangeClass.RESOLVED),
        ([SMALL], [LARGE], ChangeClass.ENLARGED),
        ([LARGE], [SMALL], ChangeClass.SHRUNKEN),
        ([SMALL, SMALL], [MeasuredVolume(4.0, 3.8, 4.2)], ChangeClass.MERGED),
        ([LARGE], [MeasuredVolume(0.5, 0.4, 0.6)] * 2, ChangeClass.SPLIT),
        ([LARGE], [MeasuredVolume(1.0, 0.9, 1.1)] * 2, ChangeClass.STABLE),
    ],
)
def test_classes(
    before: list[MeasuredVolume], after: list[MeasuredVolume], expected: ChangeClass
) -> None:
    assert classify(before, after, True) is expected
    assert classify(before, after, False) is ChangeClass.STABLE


def test_brightness_must_change_with_the_volume() -> None:
    assert Brightness(0.2, 4.0).changed(grown=True)
    assert not Brightness(3.5, 4.0).changed(grown=True)
    assert not Brightness(4.0, 0.2).changed(grown=True)
    assert Brightness(-4.0, -0.2).changed(grown=False)  # a dark lesion that resolved


def test_groups_of_lesions() -> None:
    before, after = np.zeros((30, 10, 10), np.int32), np.zeros((30, 10, 10), np.int32)
    before[0:4, 2:5, 2:5], before[6:12, 2:5, 2:5] = 1, 2
    after[0:12, 2:5, 2:5] = 7  # both became one
    before[16:18, 2:4, 2:4], after[19:21, 2:4, 2:4] = 3, 8  # a voxel apart
    after[26:28, 7:9, 7:9] = 9
    assert group_lesions(before, after, 1.0) == [
        Group((1, 2), (7,), ((2, 7),)),
        Group((3,), (8,), ((3, 8),)),
        Group((), (9,), ()),
    ]
