"""Slices that contradict their neighbours are noted and interpolated; good scans stay the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
import pytest

from anomri.errors import QualityRefused
from anomri.preprocessing import prepare_images
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.reading.scan_images import read_image
from anomri.preprocessing.reading.slice_defects import _Head, repair_defective_slices
from anomri.recipe import Preparation
from anomri.scan import Mask, Note, Volume

AFFINE = np.array([[-2.0, 0, 0, 60], [0, -2, 0, 66], [0, 0, 2, -50], [0, 0, 0, 1]])

RNG = np.random.default_rng(1)
DEFECTS: dict[str, Callable[[Volume], Volume]] = {
    "blank": np.zeros_like,
    "constant": lambda plane: np.full_like(plane, 200),
    "dark": lambda plane: plane * np.float32(0.4),
    "bright": lambda plane: plane * np.float32(2),
    "phase": lambda plane: RNG.uniform(-4096, 4096, plane.shape).astype(np.float32),
    "phase on the same scale": lambda plane: RNG.uniform(0, 600, plane.shape).astype(np.float32),
    "another slice": lambda plane: np.roll(plane[::-1], 20, axis=1),
}


@pytest.fixture(scope="module")
def head(brain_ball: Mask) -> Volume:
    """A stripped brain whose values change smoothly, with a little noise."""
    i, j, k = np.indices(brain_ball.shape)
    values = 300 + 80 * np.sin(i / 4) * np.cos(j / 5) * np.cos(k / 6)
    noise = np.random.default_rng(0).normal(0, 8, brain_ball.shape)
    return np.where(brain_ball, values + noise, 0).astype(np.float32)


def native(values: Volume) -> RawImage:
    return read_image(nib.Nifti1Image(values, AFFINE), "flair")


def spoilt(values: Volume, kind: str, axis: int, places: list[int]) -> Volume:
    result = values.copy()
    slices = np.moveaxis(result, axis, 0)
    for k in places:
        slices[k] = DEFECTS[kind](slices[k])
    return result


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defective_slice_is_named_and_interpolated(head: Volume, kind: str, axis: int) -> None:
    repaired = repair_defective_slices(native(spoilt(head, kind, axis, [27])))
    assert f"slice 27 (of axis {'IJK'[axis]}" in repaired.notes[0].text
    assert len(repaired.notes) == 1
    slices, before = np.moveaxis(repaired.values, axis, 0), np.moveaxis(head, axis, 0)
    np.testing.assert_allclose(slices[27], (before[26] + before[28]) / 2, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(np.delete(slices, 27, 0), np.delete(before, 27, 0))


@pytest.mark.parametrize("kind", ["blank", "constant"])
def test_neighbouring_defects_are_named_together(head: Volume, kind: str) -> None:
    repaired = repair_defective_slices(native(spoilt(head, kind, 2, [20, 21, 30])))
    assert "slices 20-21, 30 (of axis K" in repaired.notes[0].text


def test_the_brain_on_both_sides_of_a_blank_slice_is_kept(head: Volume) -> None:
    def prepared(values: Volume) -> tuple[int, tuple[Note, ...]]:
        images = {"flair": nib.Nifti1Image(values, AFFINE)}
        scan = prepare_images(images, Preparation(), ("flair",))
        return int(scan.brain.sum()), scan.notes

    whole, _ = prepared(head)
    blank, notes = prepared(spoilt(head, "blank", 2, [27]))
    assert blank > 0.99 * whole
    assert any("slice 27" in note.text for note in notes)


def test_repeated_slices_are_named_and_kept(head: Volume) -> None:
    values = head.copy()
    values[:, :, 31:33] = values[:, :, 30:31]
    repaired = repair_defective_slices(native(values))
    assert "slices 31-32" in repaired.notes[0].text
    np.testing.assert_array_equal(repaired.values, values)
    twice = np.repeat(head[:, :, ::2], 2, axis=2)
    assert not repair_defective_slices(
        native(twice)
    ).notes  # enlarged without interpolation: no defect


@pytest.mark.parametrize("order", ["C", "F"])
def test_sums_of_all_slices_clear_none_that_does_not_fit(
    head: Volume, order: Literal["C", "F"]
) -> None:
    doubtful = head.copy(order=order)
    doubtful[:, :, 20:40] *= np.random.default_rng(4).uniform(0.4, 2.2, 20).astype(np.float32)
    cut_out = _Head.of(doubtful)
    for axis in range(3):
        stack = cut_out.slices(axis)
        cleared = np.flatnonzero(stack._clearly_fit())
        assert [stack.score(int(k)) for k in cleared] == [0.0] * len(cleared)
        assert len(cleared) > (10 if axis == 2 else 40)


@pytest.mark.parametrize("places", [list(range(10, 50, 2)), list(range(20, 32))])
def test_too_many_or_too_wide_is_refused(head: Volume, places: list[int]) -> None:
    with pytest.raises(QualityRefused, match="slices") as caught:
        repair_defective_slices(
            native(spoilt(head, "dark" if places[1] == 12 else "blank", 2, places))
        )
    assert caught.value.file == "flair in memory"


@pytest.mark.parametrize("scale", [1e-30, 1e33])
def test_the_scale_of_the_values_does_not_matter(head: Volume, scale: float) -> None:
    assert not repair_defective_slices(native(head * np.float32(scale))).notes


@pytest.mark.parametrize("offset", [0, -1024, -32768, 65535])
def test_good_scans_are_left_alone(head: Volume, brain_ball: Mask, offset: float) -> None:
    values = np.where(brain_ball, head, np.float32(offset))
    values[29, 31, 27] = offset  # a hole in the brain
    repaired = repair_defective_slices(native(values))
    assert not repaired.notes
    assert repaired.values is native(values).values or np.array_equal(repaired.values, values)


def test_good_real_scans_have_no_defects(real_data: Path) -> None:
    kinds = ("brats2018/*/*/*_t1ce.nii*", "nichart/fl/*", "ixi_t1/t1/*", "wmh/*/flair*")
    paths = [path for kind in kinds for path in sorted(real_data.glob(kind))[:2]]
    paths += sorted(real_data.glob("ms3seg_bids/sub-*/anat/*.nii.gz"))[:4]
    paths += sorted(real_data.glob("lgg/kaggle_3m/*"))[:2]
    for path in paths:
        read = read_image(path, "flair")
        assert repair_defective_slices(read).notes == read.notes, path.name


@pytest.mark.parametrize("kind", ["blank", "dark", "bright", "phase"])
def test_defects_of_thick_slices_are_found_too(real_data: Path, kind: str) -> None:
    path = next(real_data.glob("ms3seg_bids/sub-*/anat/*_FLAIR.nii.gz"))
    read = read_image(path, "flair")
    axis = int(np.argmax(read.grid.spacing))
    middle = read.values.shape[axis] // 2
    repaired = repair_defective_slices(read.with_values(spoilt(read.values, kind, axis, [middle])))
    assert f"slice {middle} " in repaired.notes[-1].text
