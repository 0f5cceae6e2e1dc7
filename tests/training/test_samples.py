"""Which slices are learnt from, and whose are kept for validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from anomri.errors import UsageError
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe, Training
from anomri.scan import Grid, Scan
from anomri.training import healthy_slices
from anomri.training.samples import healthy_volume, split_images, unpack

MakeRecipe = Callable[..., Recipe]
SPACING = (1.5, 1.5, 2.0)


def scan(*, lesion: bool = True, **changes: Any) -> Scan:
    """A box brain in slices 10 to 49, with lesion voxels in slices 28 to 31."""
    brain = np.zeros((20, 20, 60), bool)
    brain[4:16, 4:16, 10:50] = True
    truth = np.zeros(brain.shape, np.uint8)
    truth[8:10, 8:10, 28:32] = 2
    grid = Grid(shape=(20, 20, 60), affine=np.diag([*SPACING, 1.0]))
    made = Scan(
        subject="box",
        label="sub-box",
        image=brain[None].astype(np.float32),
        contrasts=("flair",),
        brain=brain,
        grid=grid,
        native=grid,
        truth=truth if lesion else None,
        healthy=None,
    )
    return replace(made, **changes)


def chosen(made: Scan, **training: Any) -> list[int | None]:
    return [one.index for one in healthy_slices(made, Training(**training))]


def test_lesion_slices_are_dropped() -> None:
    assert chosen(scan(), slab_mm=None) == [*range(10, 28), *range(32, 50)]


def test_the_slab_is_the_middle_of_the_brain() -> None:
    # The brain's middle is at slice 29.5; 20 mm are ten slices of 2 mm.
    assert chosen(scan(lesion=False), slab_mm=20) == list(range(25, 35))
    assert chosen(scan(), slab_mm=20) == [25, 26, 27, 32, 33, 34]


def test_slices_with_little_brain_do_not_count() -> None:
    made = scan(lesion=False)
    brain = made.brain.copy()
    brain[:, :, 40:] &= np.arange(20)[:, None, None] < 6  # 24 of 400 pixels
    thin = replace(made, brain=brain)
    assert chosen(thin, slab_mm=None, min_brain_fraction=0.05)[-1] == 49
    assert chosen(thin, slab_mm=None, min_brain_fraction=0.07)[-1] == 39


def test_slices_without_brain_never_count() -> None:
    assert chosen(scan(lesion=False), slab_mm=None, min_brain_fraction=0) == list(range(10, 50))


@pytest.mark.parametrize("margin", [0.0, 3.1])
def test_masked_lesions_are_excluded_with_their_margin(margin: float) -> None:
    made = scan()
    assert made.truth is not None
    found = healthy_slices(made, Training(lesions="mask", lesion_margin_mm=margin, slab_mm=None))
    assert [one.index for one in found] == list(range(10, 50))
    distance = distance_transform_edt(made.truth == 0, sampling=SPACING)
    for one in found:
        expected = distance[:, :, one.index] <= margin
        if one.excluded is None:
            assert not expected.any()
        else:
            np.testing.assert_array_equal(unpack(one.excluded, (20, 20)), expected)
    assert any(one.excluded is not None for one in found)


def test_a_patient_without_truth_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    assert chosen(scan(lesion=False, healthy=False)) == []
    assert "sub-box: skipped" in caplog.text


@pytest.mark.parametrize("healthy", [True, None])
def test_anyone_else_without_truth_is_taken_whole(healthy: bool | None) -> None:
    made = scan(lesion=False, healthy=healthy)
    assert chosen(made, slab_mm=None) == list(range(10, 50))


def test_a_patient_with_truth_is_learnt_from() -> None:
    assert chosen(scan(healthy=False), slab_mm=None) == [*range(10, 28), *range(32, 50)]


def test_a_volume_with_a_lesion_is_dropped_or_masked() -> None:
    assert healthy_volume(scan(), Training()) == []
    (part,) = healthy_volume(scan(), Training(lesions="mask", lesion_margin_mm=3))
    (middle,) = [
        one
        for one in healthy_slices(scan(), Training(lesions="mask", lesion_margin_mm=3))
        if one.index == 29
    ]
    assert part.index is None
    assert part.excluded is not None
    assert middle.excluded is not None
    marks = unpack(part.excluded, (20, 20, 60))
    np.testing.assert_array_equal(marks[:, :, 29], unpack(middle.excluded, (20, 20)))
    assert not marks[:, :, :20].any()


def test_a_volume_must_hold_enough_brain() -> None:
    made = scan(lesion=False)
    share = float(made.brain.mean())
    assert len(healthy_volume(made, Training(min_brain_fraction=share))) == 1
    assert healthy_volume(made, Training(min_brain_fraction=share + 0.01)) == []
    assert healthy_volume(scan(lesion=False, healthy=False), Training()) == []


def test_a_subject_is_never_on_both_sides(prepared: PreparedFolder, recipe: MakeRecipe) -> None:
    split = split_images(prepared, recipe(validation_fraction=0.5).training)
    sides = [{one.label for one in side} for side in (split.train, split.validation)]
    assert sides[0].isdisjoint(sides[1])
    assert [len(side) for side in sides] == [2, 2]
    assert {*split.subjects["train"], *split.subjects["validation"]} == {f"s{n}" for n in range(4)}


def test_sessions_of_a_subject_stay_together(
    prepared: PreparedFolder, recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = ["a", "a", "b", "b"]
    index = [(label, who, True) for label, who in zip(prepared.labels(), people, strict=True)]
    monkeypatch.setattr(prepared, "index", lambda: index)
    for seed in range(6):
        split = split_images(prepared, recipe(seed=seed).training)
        labels = {one.label for one in split.train}
        assert labels in ({"sub-s0", "sub-s1"}, {"sub-s2", "sub-s3"})


def test_the_seed_decides_who_validates(prepared: PreparedFolder, recipe: MakeRecipe) -> None:
    kept = [
        tuple(split_images(prepared, recipe(seed=seed).training).subjects["validation"])
        for seed in (0, 0, 1, 2, 3, 4)
    ]
    assert kept[0] == kept[1]
    assert len(set(kept)) > 1


@pytest.mark.parametrize("names", [["s1", "s2"], ["sub-s1", "sub-s2"], ["s1", "sub-s2"]])
def test_subjects_can_be_restricted(
    prepared: PreparedFolder, recipe: MakeRecipe, names: list[str]
) -> None:
    split = split_images(prepared, recipe().training, subjects=names)
    assert {one.label for one in (*split.train, *split.validation)} == {"sub-s1", "sub-s2"}


def test_unknown_and_too_few_subjects_are_refused(
    prepared: PreparedFolder, recipe: MakeRecipe
) -> None:
    with pytest.raises(UsageError, match="'nobody' is not among"):
        split_images(prepared, recipe().training, subjects=["s1", "nobody"])
    with pytest.raises(UsageError, match="at least two subjects"):
        split_images(prepared, recipe().training, subjects=["s1"])
