"""Mislabelled contrasts and objects that are no brain are noted; correct scans are not."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from anomri.preprocessing import prepare_images
from anomri.preprocessing.template.contrast_check import (
    check_plausibility,
    check_saturation,
    check_units,
)
from anomri.preprocessing.template.contrast_features import (
    ScannedTissues,
    contrast_features,
    main_peak_width,
)
from anomri.preprocessing.template.mni152 import load_template
from anomri.preprocessing.template.tissues import tissue_map
from anomri.recipe import Preparation
from anomri.scan import Grid, Mask, NoteKind, Volume

# brightness of grey matter, white matter and fluid
LEVELS = {"flair": (105, 100, 20), "t1": (65, 100, 25), "t2": (130, 100, 220)}


@pytest.fixture(scope="module")
def grid() -> Grid:
    values, grid = load_template()
    few = values[::3, ::3, ::3]
    return Grid(shape=few.shape, affine=grid.affine @ np.diag([3, 3, 3, 1.0]))


@pytest.fixture(scope="module")
def brain() -> Mask:
    return np.ascontiguousarray(load_template()[0][::3, ::3, ::3] > 0)


@pytest.fixture(scope="module")
def images(brain: Mask) -> dict[str, Volume]:
    """Contrasts simulated on the template's tissues, with noise."""
    grey, white = (tissue_map(tissue)[::3, ::3, ::3] / 255 for tissue in ("gm", "wm"))
    noise = np.random.default_rng(0).normal(0, 4, brain.shape)
    simulated = {}
    for name, (g, w, f) in LEVELS.items():
        volume = g * grey + w * white + f * (1 - grey - white).clip(0) + noise
        simulated[name] = np.where(brain, volume, 0).astype(np.float32)
    return simulated


@pytest.mark.parametrize(
    ("label", "contrast", "mismatch"),
    [
        ("flair", "flair", ""),
        ("t1", "t1", ""),
        ("t1ce", "t1", ""),
        ("t2", "t2", ""),
        ("flair", "t1", "FLAIR looks like T1"),
        ("flair", "t2", "FLAIR looks like T2"),
        ("t1", "t2", "T1 looks like T2"),
        ("t1ce", "flair", "T1CE does not look like T1"),
        ("t2", "flair", "T2 does not look like T2"),
    ],
)
def test_a_contrast_is_recognised_by_its_tissues(
    images: dict[str, Volume], brain: Mask, grid: Grid, label: str, contrast: str, mismatch: str
) -> None:
    notes = check_plausibility(images[contrast][None], brain, grid, (label,))
    assert [note.text.partition(" (")[0] for note in notes] == ([mismatch] if mismatch else [])
    assert all(note.kind is NoteKind.IMPLAUSIBLE for note in notes)


def test_swapped_contrasts_are_noted_once(
    images: dict[str, Volume], brain: Mask, grid: Grid
) -> None:
    both = np.stack([images["t1"], images["flair"]])
    (note,) = check_plausibility(both, brain, grid, ("flair", "t1ce"))
    assert note.text.startswith("FLAIR and T1CE seem to be swapped: check the file")
    assert check_plausibility(both[::-1], brain, grid, ("flair", "t1ce")) == []


def test_a_tumour_and_a_drift_do_not_change_what_it_is(
    images: dict[str, Volume], brain: Mask, grid: Grid
) -> None:
    away = np.linalg.norm(
        np.indices(brain.shape) - np.array([20, 40, 38])[:, None, None, None], axis=0
    )
    slope = np.linspace(0.8, 1.25, brain.shape[1])[None, :, None]
    for name, count in (("flair", 0), ("t1", 1)):
        volume = np.where(brain & (away < 8), 160, images[name] * slope).astype(np.float32)
        assert len(check_plausibility(volume[None], brain, grid, ("flair",))) == count


def test_the_template_correlates_with_itself(brain: Mask, grid: Grid) -> None:
    values = np.ascontiguousarray(load_template()[0][::3, ::3, ::3])
    tissues = ScannedTissues.of(brain, grid, np.eye(4))
    assert tissues is not None
    features = contrast_features(values, tissues)
    assert features.t1_correlation > 0.85
    inverted = contrast_features(np.where(brain, 200 - values, 0), tissues)
    assert inverted.t1_correlation < -0.85
    assert inverted.ventricle_darkness < 0 < features.ventricle_darkness


def test_a_sliver_of_brain_shows_too_little_of_its_tissues(brain: Mask, grid: Grid) -> None:
    sliver = brain.copy()
    sliver[:, :, 10:] = False
    assert ScannedTissues.of(sliver, grid, np.eye(4)) is None


def test_the_width_of_a_normal_distribution_is_known() -> None:
    """By hand: 2.355 standard deviations, over 2.054 down to the second percentile."""
    values = np.random.default_rng(1).normal(100, 10, 200_000).astype(np.float32)
    assert main_peak_width(values) == pytest.approx(2.355 / 2.054, rel=0.08)
    assert main_peak_width(3 * values + 7) == pytest.approx(main_peak_width(values), rel=0.02)


def test_another_organ_may_be_no_brain(grid: Grid, brain: Mask) -> None:
    rng = np.random.default_rng(2)
    texture = ndimage.gaussian_filter(rng.normal(size=brain.shape), 2)
    organ = np.where(brain, 300 + 40 * texture / texture.std(), 0).astype(np.float32)
    (note,) = check_plausibility(organ[None], brain, grid, ("flair",))
    assert note.text.startswith("this may not be a brain")


def test_a_better_match_after_a_half_turn_is_noted(
    images: dict[str, Volume], brain: Mask, grid: Grid
) -> None:
    (note,) = check_plausibility(
        images["flair"][None, :, :, ::-1], brain[:, :, ::-1], grid, ("flair",)
    )
    assert "better after half a turn" in note.text


def test_a_constant_volume_is_left_to_the_scaling(brain: Mask, grid: Grid) -> None:
    assert (
        check_plausibility(np.where(brain, 7, 0).astype(np.float32)[None], brain, grid, ("flair",))
        == []
    )


def test_hounsfield_units_are_noted(images: dict[str, Volume], brain: Mask) -> None:
    flair = images["flair"]
    assert check_units(flair, brain) == []
    (note,) = check_units(np.where(brain, flair * 0.3, -1000).astype(np.float32), brain)
    assert "down to -1000" in note.text
    assert check_units(flair - 50 * flair.std(), brain) == []


def test_values_that_were_cut_off_are_noted(images: dict[str, Volume], brain: Mask) -> None:
    flair = images["flair"]
    assert check_saturation(flair, brain) == []
    (note,) = check_saturation(np.minimum(flair, np.percentile(flair[brain], 90)), brain)
    assert "10% of the brain has the highest value" in note.text
    assert note.kind is NoteKind.IMPLAUSIBLE


def test_the_note_reaches_the_scan(images: dict[str, Volume], grid: Grid) -> None:
    image = nib.Nifti1Image(images["t1"], grid.affine)
    scan = prepare_images({"flair": image}, Preparation(), ("flair",))
    assert any("looks like T1" in note.text for note in scan.notes)
