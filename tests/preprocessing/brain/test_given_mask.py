"""Given brain masks: a misfit is noted, another definition of the border is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anomri.errors import QualityRefused
from anomri.preprocessing.brain import given_mask as module
from anomri.preprocessing.brain.given_mask import (
    check_given_mask,
    largest_ball_radius_mm,
    largest_disc_radius_mm,
    mask_mismatch,
)
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

Head = tuple[Volume, Mask, Grid]


def ball(shape: tuple[int, ...], centre: tuple[float, ...], mm: float, side: float = 3.0) -> Mask:
    index = np.indices(shape) - np.array(centre)[:, None, None, None]
    return np.asarray(np.sqrt((index**2).sum(axis=0)) * side <= mm)


@pytest.mark.parametrize("steps", [-1, 1])
def test_a_border_one_voxel_off_is_accepted(head: Head, steps: int) -> None:
    _, brain, grid = head
    change = ndimage.binary_dilation if steps > 0 else ndimage.binary_erosion
    assert mask_mismatch(change(brain), brain, grid) == ""


def test_flipped_shifted_and_partial_masks_are_noted(head: Head) -> None:
    _, brain, grid = head
    assert mask_mismatch(brain[:, :, ::-1], brain, grid)
    assert "does not fit" in mask_mismatch(np.roll(brain, 12, axis=1), brain, grid)
    assert "does not fit" in mask_mismatch(np.ones_like(brain), brain, grid)
    lobe = brain & ~ball(brain.shape, (20, 55, 60), 30)
    assert "leaves out" in mask_mismatch(lobe, brain, grid)


def test_eyes_in_a_mask_are_noted(head: Head) -> None:
    _, brain, grid = head
    i, _, k = (int(n) for n in np.argwhere(brain).mean(axis=0))
    front = int(np.flatnonzero(brain[i, :, k])[-1])
    eyes = ball(brain.shape, (i - 10, front + 4, k), 12) | ball(
        brain.shape, (i + 10, front + 4, k), 12
    )
    assert "such as the eyes" in mask_mismatch(brain | eyes, brain, grid)


@pytest.mark.parametrize("keep", [False, True])
def test_the_found_brain_replaces_a_wrong_mask_unless_it_is_kept(
    head: Head, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, brain, grid = head
    monkeypatch.setattr(module, "find_brain", lambda *_, **__: (brain, ("found",)))
    wrong = np.roll(brain, 12, axis=1)
    used, notes = check_given_mask(wrong, values, grid, keep=keep, spacing_known=True, name="scan")
    np.testing.assert_array_equal(used, wrong if keep else brain)
    assert "does not fit the scan" in notes[0].text
    right, notes = check_given_mask(brain, values, grid, keep=keep, spacing_known=True, name="scan")
    np.testing.assert_array_equal(right, brain)
    assert notes == ()


@pytest.mark.parametrize("keep", [False, True])
def test_a_mask_that_cannot_be_checked_is_used_as_it_is(
    head: Head, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, brain, grid = head

    def refuse(*_: object, **__: object) -> None:
        raise QualityRefused("scan", expected="a brain", got="none", next_step="look at it")

    monkeypatch.setattr(module, "find_brain", refuse)
    given = brain.copy()
    given[:, :, :30] = True  # reaches faces of the volume: no edge may be taken off
    used, notes = check_given_mask(given, values, grid, keep=keep, spacing_known=True, name="scan")
    np.testing.assert_array_equal(used, given)
    text = "the given brain mask could not be checked: no brain was found"
    assert notes == (Note(NoteKind.BRAIN_MASK, text),)


def test_the_radius_of_the_largest_ball_is_in_millimetres() -> None:
    grid = Grid(shape=(40, 40, 40), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    mask = ball((40, 40, 40), (20, 20, 20), 12, side=2.0)
    assert largest_ball_radius_mm(mask, grid) == pytest.approx(13, abs=1.5)
    assert largest_ball_radius_mm(np.zeros_like(mask), grid) == 0


def test_in_thick_slices_a_disc_outside_the_brain_is_noted() -> None:
    grid = Grid(shape=(60, 60, 9), affine=np.diag([2.0, 2.0, 7.0, 1.0]))
    brain = np.zeros(grid.shape, bool)
    brain[10:40, 10:40, 1:8] = True
    eye = np.zeros_like(brain)
    eye[:, :, 4] = ball((60, 60, 1), (25, 50, 0), 12, side=2.0)[:, :, 0]
    assert "outside the brain" in mask_mismatch(brain | eye, brain, grid)
    assert largest_disc_radius_mm(eye, brain, grid) == pytest.approx(13, abs=1.5)
    cap = np.zeros_like(brain)
    cap[10:40, 10:40, 8] = True  # one more slice at the top: the border is one slice off
    assert mask_mismatch(brain | cap, brain, grid) == ""
