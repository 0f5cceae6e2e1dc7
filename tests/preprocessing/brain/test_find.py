from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anomri.errors import QualityRefused, ScanError
from anomri.preprocessing.brain import find_brain
from anomri.preprocessing.brain.find import WHOLE_HEAD
from anomri.preprocessing.brain.quality_check import check_brain_volume
from anomri.preprocessing.brain.stripped import (
    MAX_STRIPPED_ML,
    find_foreground,
    is_stripped,
    replace_padding,
)
from anomri.preprocessing.connected_components import largest_filled_component
from anomri.preprocessing.template.mni152 import load_template
from anomri.scan import Grid, Mask, Volume


def grid_of(volume: np.ndarray) -> Grid:
    """2 mm voxels, RAS+."""
    return Grid(shape=volume.shape, affine=np.diag([2.0, 2.0, 2.0, 1.0]))


def test_a_stripped_brain_is_the_whole_foreground(stripped: Volume, brain_ball: Mask) -> None:
    mask, notes = find_brain(stripped, grid_of(stripped))
    np.testing.assert_array_equal(mask, brain_ball)
    assert notes == ()


def test_holes_are_filled_and_islands_removed(stripped: Volume, brain_ball: Mask) -> None:
    volume = stripped.copy()
    volume[28:31, 30:33, 26:29] = 0
    volume[1:3, 1:3, 1:3] = 400
    np.testing.assert_array_equal(find_brain(volume, grid_of(volume))[0], brain_ball)


@pytest.mark.parametrize("level", [-1.5, 20.0])
def test_the_background_need_not_be_zero(stripped: Volume, brain_ball: Mask, level: float) -> None:
    volume = np.where(brain_ball, stripped, level).astype(np.float32)
    np.testing.assert_array_equal(find_brain(volume, grid_of(volume))[0], brain_ball)


def test_ringing_and_values_below_zero_around_the_brain_are_background(
    stripped: Volume, brain_ball: Mask
) -> None:
    rng = np.random.default_rng(1)
    ringing = rng.normal(0, 0.05, stripped.shape) * (rng.random(stripped.shape) < 0.1)
    volume = np.where(brain_ball, stripped, ringing).astype(np.float32)
    np.testing.assert_array_equal(find_brain(volume, grid_of(volume))[0], brain_ball)


def test_a_scan_that_was_z_scored_before_is_still_stripped(
    stripped: Volume, brain_ball: Mask
) -> None:
    scaled = (stripped - stripped[brain_ball].mean()) / stripped[brain_ball].std()
    volume = np.where(brain_ball, scaled, 0).astype(np.float32)
    mask, notes = find_brain(volume, grid_of(volume))
    assert np.count_nonzero(mask != brain_ball) < 0.001 * brain_ball.sum()
    assert notes == ()


@pytest.mark.parametrize("inner", [0.0, 30.0])
@pytest.mark.parametrize("sides", [np.s_[3:-3, 3:-3, 2:-2], np.s_[4:, :, :], np.s_[:, :, 2:-3]])
def test_padding_of_another_value_than_the_background_is_background(
    stripped: Volume, brain_ball: Mask, inner: float, sides: tuple[slice, ...]
) -> None:
    volume = np.full_like(stripped, -1024)
    volume[sides] = np.where(brain_ball, stripped, inner)[sides]
    mask, notes = find_brain(volume, grid_of(volume))
    np.testing.assert_array_equal(mask, brain_ball)
    assert notes == ()


def test_constant_padding_around_noise_is_kept() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (20, 20, 20)).astype(np.float32)
    padded = np.pad(noise, 3, constant_values=-9)
    assert replace_padding(padded) is padded
    assert replace_padding(noise) is noise


@pytest.fixture(scope="module")
def template_brain() -> tuple[Volume, Mask]:
    """The template's brain at 3 mm, without anything around it."""
    values, _ = load_template()
    tissue = np.pad(values[::3, ::3, ::3], 8)
    return tissue, largest_filled_component(tissue > 0)


@pytest.mark.parametrize("noise", [0.004, 0.02])
def test_a_stripped_brain_in_faint_noise_is_still_stripped(
    template_brain: tuple[Volume, Mask], noise: float
) -> None:
    values, brain = template_brain
    added = np.random.default_rng(7).normal(0, noise * values.max(), values.shape)
    volume = np.abs(values + added).astype(np.float32)
    mask, notes = find_brain(volume, Grid(shape=volume.shape, affine=np.diag([2.7, 2.7, 2.7, 1])))
    assert notes == ()
    assert 2 * np.count_nonzero(mask & brain) / (mask.sum() + brain.sum()) > 0.97


def test_a_stripped_brain_with_too_large_voxels_is_still_stripped(
    template_brain: tuple[Volume, Mask],
) -> None:
    values, brain = template_brain
    grid = Grid(shape=values.shape, affine=np.diag([3.2, 3.2, 3.2, 1]))
    assert np.count_nonzero(brain) * grid.voxel_ml > MAX_STRIPPED_ML
    mask, notes = find_brain(values, grid)
    np.testing.assert_array_equal(mask, brain)
    assert notes == ()


@pytest.fixture(scope="module")
def head() -> tuple[Volume, Mask]:
    """The template's brain in a dark skull in a bright scalp, with noise in the air, at 2 mm."""
    values, _ = load_template()
    tissue = np.pad(values[::2, ::2, ::2], 12)
    brain = largest_filled_component(tissue > 0)
    away = ndimage.distance_transform_edt(~brain, sampling=2.0)
    shell = np.select([brain, away < 6, away < 14], [tissue * 4, 30.0, 800.0], 0.0)
    shell += np.abs(np.random.default_rng(2).normal(0, 10, shell.shape))
    return shell.astype(np.float32), brain


@pytest.mark.parametrize("known", [True, False])
def test_the_brain_of_a_whole_head_is_found_with_a_note(
    head: tuple[Volume, Mask], known: bool
) -> None:
    mask, notes = find_brain(head[0], grid_of(head[0]), spacing_known=known)
    assert WHOLE_HEAD in notes
    overlap = 2 * np.count_nonzero(mask & head[1]) / (mask.sum() + head[1].sum())
    assert overlap > 0.95


def test_a_whole_head_without_noise_is_recognised_by_its_volume(head: tuple[Volume, Mask]) -> None:
    # As bright as tissue everywhere, so that nothing but the volume tells it from a brain.
    volume = np.where(head[0] > 20, np.maximum(head[0], 200), 0)
    foreground, background = find_foreground(volume)
    assert not is_stripped(volume, foreground, background, (2.0, 2.0, 2.0))
    assert is_stripped(volume, foreground, background, None)
    assert WHOLE_HEAD in find_brain(volume, grid_of(volume))[1]


def test_stripped_returns_the_foreground_and_given_needs_a_mask(
    head: tuple[Volume, Mask],
) -> None:
    volume = np.where(head[0] > 60, head[0], 0)
    mask, notes = find_brain(volume, grid_of(volume), method="stripped")
    np.testing.assert_array_equal(mask, largest_filled_component(volume > 0))
    assert notes == ()
    with pytest.raises(ScanError, match="brain mask"):
        find_brain(volume, grid_of(volume), method="given")


def test_a_brain_of_noise_in_a_head_is_refused_with_evidence(head: tuple[Volume, Mask]) -> None:
    noise = np.random.default_rng(4).rayleigh(200, head[0].shape)
    volume = np.where(head[1], noise, head[0]).astype(np.float32)
    with pytest.raises(QualityRefused, match="as in noise") as caught:
        find_brain(volume, grid_of(volume))
    assert caught.value.evidence is not None


@pytest.mark.filterwarnings("error")
def test_noise_alone_is_refused() -> None:
    noise = np.abs(np.random.default_rng(3).normal(0, 1, (40, 40, 40))).astype(np.float32)
    with pytest.raises(QualityRefused):
        find_brain(noise, grid_of(noise))


def test_the_largest_component_is_kept_whole() -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[2:5, 2:5, 2:5] = True
    mask[8:16, 8:16, 8:16] = True
    mask[11, 11, 11] = False
    expected = np.zeros_like(mask)
    expected[8:16, 8:16, 8:16] = True
    np.testing.assert_array_equal(largest_filled_component(mask), expected)
    assert not largest_filled_component(np.zeros_like(mask)).any()


def block(ml: float) -> tuple[Mask, Grid]:
    """A cube of ``ml`` in voxels of 5 mm (an eighth of a ml each)."""
    mask = np.zeros((40, 40, 40), bool)
    mask.reshape(-1)[: int(ml * 8)] = True
    return mask, Grid(shape=(40, 40, 40), affine=np.diag([5.0, 5, 5, 1]))


@pytest.mark.parametrize("ml", [150, 2600])
def test_a_volume_that_no_brain_has_is_refused(ml: float) -> None:
    mask, grid = block(ml)
    with pytest.raises(QualityRefused, match=f"{ml} ml") as caught:
        check_brain_volume(mask, grid, name="s")
    assert caught.value.exit_code == 5
    assert check_brain_volume(mask, grid, name="s", spacing_known=False) == []


def test_a_voxel_size_a_fifth_too_small_is_noted() -> None:
    (note,) = check_brain_volume(*block(1594 * 0.8**3), name="s")
    assert "816 ml" in note.text
    assert "voxel sizes" in note.text


@pytest.mark.parametrize(("ml", "notes"), [(400, 1), (1400, 0), (2200, 1)])
def test_an_unusual_brain_is_noted(ml: float, notes: int) -> None:
    assert len(check_brain_volume(*block(ml), name="s")) == notes


def test_too_few_voxels_are_refused() -> None:
    mask, _ = block(10)
    with pytest.raises(QualityRefused, match="500 voxels"):
        check_brain_volume(mask, Grid(shape=(40, 40, 40), affine=np.eye(4) * 20), name="s")
