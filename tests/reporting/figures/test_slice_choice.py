from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomri.reporting.figures.slice_choice import EDGES, Slice, box_around, choose
from anomri.scan import Grid

SHAPE = (20, 24, 30)
GRID = Grid(shape=SHAPE, affine=np.diag([2.0, 2, 3, 1]))


def brain() -> np.ndarray:
    inside = np.zeros(SHAPE, bool)
    inside[4:16, 4:20, 5:25] = True
    return inside


def test_pictures_follow_the_radiological_convention() -> None:
    i, j, k = np.indices(SHAPE)
    box = box_around(np.ones(SHAPE, bool), GRID.spacing)
    right, anterior = Slice(2, 9, 0).cut(i, box), Slice(2, 9, 0).cut(j, box)
    assert right[0, 0] > right[0, -1]  # the patient's right is on the left
    assert anterior[0, 0] > anterior[-1, 0]  # the nose points up
    assert Slice(1, 9, 0).cut(k, box)[0, 0] > Slice(1, 9, 0).cut(k, box)[-1, 0]
    assert Slice(0, 9, 0).cut(j, box)[0, 0] > Slice(0, 9, 0).cut(j, box)[0, -1]
    assert EDGES == {0: ("A", "P"), 1: ("R", "L"), 2: ("R", "L")}


def test_panels_keep_their_proportions() -> None:
    box = box_around(np.ones(SHAPE, bool), GRID.spacing)
    assert Slice(2, 0, 0).size_mm(box) == (40, 48)
    assert Slice(1, 0, 0).size_mm(box) == (40, 90)
    assert Slice(0, 0, 0).size_mm(box) == (48, 90)


@given(st.lists(st.tuples(*(st.integers(5, 14) for _ in range(3))), max_size=4))
def test_five_axial_slices_of_the_brain_pass_through_what_matters(
    places: list[tuple[int, int, int]],
) -> None:
    interest = np.zeros(SHAPE, bool)
    for place in places:
        interest[place] = True
    slices = choose(interest, brain(), GRID)
    axial = [cut.index for cut in slices[:5]]
    assert [cut.axis for cut in slices] == [2, 2, 2, 2, 2, 1, 0]
    assert axial == sorted(set(axial))
    assert 5 <= axial[0] <= axial[-1] < 25
    if places:
        assert interest[:, :, axial].any()
        assert interest[:, slices[5].index].any()
        assert interest[slices[6].index].any()


def test_a_speck_does_not_take_the_place_of_the_brain() -> None:
    interest = np.zeros(SHAPE, bool)
    interest[6:14, 6:14, 14] = True
    interest[8, 8, 5] = True
    assert 5 not in [cut.index for cut in choose(interest, brain(), GRID)[:5]]


def test_positions_are_in_mm_of_the_world() -> None:
    cut = choose(np.zeros(SHAPE, bool), brain(), GRID)[0]
    assert cut.position_mm == 3.0 * cut.index
    assert cut.title == f"axial  z = {3 * cut.index} mm"


def test_few_slices_are_shown_once() -> None:
    shape = (20, 24, 3)
    slices = choose(
        np.zeros(shape, bool), np.ones(shape, bool), Grid(shape=shape, affine=np.eye(4))
    )
    assert [cut.index for cut in slices if cut.axis == 2] == [0, 1, 2]
