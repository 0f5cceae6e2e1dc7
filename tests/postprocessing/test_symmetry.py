"""The plane between the halves of a brain, and what is left when one is taken from the other."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomri.postprocessing.symmetry import Plane, plane_of_symmetry, subtract_mirror

LEFT, RIGHT = (13, 24, 12), (35, 24, 12)


@given(
    angles=st.tuples(*[st.floats(-0.5, 0.5)] * 2),
    offset=st.floats(-20, 20),
    spacing=st.tuples(*[st.floats(0.5, 8)] * 3),
)
def test_a_reflection_undoes_itself_and_keeps_its_plane(
    angles: Any, offset: float, spacing: Any
) -> None:
    centre = np.array([30.0, 40.0, 20.0])
    plane = Plane.at(np.array(angles), offset, centre)
    matrix, shift = plane.reflection(spacing)
    np.testing.assert_allclose(matrix @ matrix, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(matrix @ shift + shift, 0, atol=1e-8)
    on_plane = (centre + offset * plane.normal) / np.array(spacing)
    np.testing.assert_allclose(matrix @ on_plane + shift, on_plane, atol=1e-8)


@pytest.mark.parametrize(("tilt", "shift"), [(0.0, 0.0), (0.12, 0.0), (-0.1, 2.5), (0.0, -3.0)])
def test_the_plane_is_found_through_a_turned_and_shifted_head(
    head_of: Any, tilt: float, shift: float
) -> None:
    candidate = head_of({}, bright=0, rim=0, tilt=tilt, shift=shift)
    plane = plane_of_symmetry(candidate)
    across, along = np.array([np.cos(tilt), -np.sin(tilt)]), np.array([np.sin(tilt), np.cos(tilt)])
    for far in (-14, 0, 14):  # points of the true plane, in mm
        point = 2.0 * np.array([*(24 + shift * across + far * along), 12])
        assert abs(plane.normal @ point - plane.offset) < 1.0


@pytest.mark.parametrize("tilt", [0.0, 0.1])
def test_a_lesion_without_a_twin_stays_and_one_with_a_twin_loses_its_share(
    head_of: Any, tilt: float
) -> None:
    alone = subtract_mirror(head_of({"l": LEFT}, bright=10, rim=10, tilt=tilt), share=0.5)
    twins = subtract_mirror(
        head_of({"l": LEFT, "r": RIGHT}, bright=10, rim=10, tilt=tilt), share=0.5
    )
    assert alone.values[LEFT] == pytest.approx(10, abs=0.2)
    assert twins.values[LEFT] == pytest.approx(5, abs=0.5)
    assert twins.values[RIGHT] == pytest.approx(5, abs=0.5)


def test_the_twin_place_of_a_lesion_becomes_dark_and_no_more_than_that(head_of: Any) -> None:
    candidate = head_of({"l": LEFT}, bright=10, rim=10)
    left = subtract_mirror(candidate, share=0.5)
    assert left.values[RIGHT] == pytest.approx(-5, abs=0.3)
    assert not left.values[~candidate.brain].any()
    np.testing.assert_array_equal(left.brain, candidate.brain)


def test_nothing_is_subtracted_for_what_is_dark(head_of: Any) -> None:
    candidate = head_of({"l": LEFT}, bright=-6, rim=-6)
    np.testing.assert_allclose(subtract_mirror(candidate).values, candidate.values, atol=1e-5)


def test_thick_slices_keep_their_twin(head_of: Any) -> None:
    candidate = head_of({"l": LEFT, "r": RIGHT}, bright=10, rim=10)
    thick = replace(
        candidate,
        values=np.ascontiguousarray(candidate.values[:, :, ::4]),
        brain=np.ascontiguousarray(candidate.brain[:, :, ::4]),
        spacing=(2.0, 2.0, 8.0),
    )
    assert subtract_mirror(thick).values[13, 24, 3] == pytest.approx(5, abs=0.7)


@pytest.mark.parametrize(
    "move", [partial(np.flip, axis=0), partial(np.flip, axis=1), partial(np.pad, pad_width=3)]
)
def test_goes_with_the_head(head_of: Any, move: Any) -> None:
    candidate = head_of({"l": LEFT}, bright=10, rim=4, tilt=0.08, shift=1.0)
    elsewhere = replace(candidate, values=move(candidate.values), brain=move(candidate.brain))
    expected = move(subtract_mirror(candidate).values)
    difference = np.abs(subtract_mirror(elsewhere).values - expected)
    assert difference.max() < 1  # of 10: the plane is found to a fraction of a voxel
    assert difference.mean() < 0.01


def test_an_empty_brain_is_left_alone(head_of: Any) -> None:
    candidate = head_of({}, bright=0, rim=0)
    empty = candidate.with_brain(np.zeros_like(candidate.brain))
    assert subtract_mirror(empty) is empty
