"""Plausibility: brains of any contrast pass, objects with only the shape of a brain do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation
from sklearn.metrics import mutual_info_score

from anomri.errors import QualityRefused
from anomri.preprocessing import make_registration_image
from anomri.preprocessing.brain.plausibility import (
    check_against_template,
    rank_mutual_information,
    template_similarity,
)
from anomri.preprocessing.template.mni152 import load_template, template_registration_image
from anomri.preprocessing.template.registration import register_coarsely
from anomri.scan import Grid, Mask, Volume

Contrast = Callable[[Volume], Volume]


def patient(turn_deg: float = 0.0, size: float = 1.0) -> tuple[Volume, Mask, Grid]:
    """Return the template's brain on 3 mm voxels of a patient whose head is rotated."""
    values, grid = load_template()
    affine = grid.affine @ np.diag([3, 3, 3, 1.0])
    turn = np.eye(4)
    turn[:3, :3] = size * Rotation.from_euler("xz", [turn_deg, turn_deg], degrees=True).as_matrix()
    coarse = np.ascontiguousarray(values[::3, ::3, ::3])
    return coarse, coarse > 0, Grid(shape=coarse.shape, affine=turn @ affine)


def smooth_noise(shape: tuple[int, ...], sigma: float) -> Volume:
    noise = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=shape), sigma)
    return np.asarray(noise / noise.std() * 100 + 500, dtype=np.float32)


@pytest.mark.parametrize(
    "contrast", [lambda v: v, lambda v: 200 - v, lambda v: np.abs(v - 110) + 20]
)
def test_a_brain_passes_in_any_contrast(contrast: Contrast) -> None:
    values, brain, grid = patient(turn_deg=12)
    volume = np.where(brain, contrast(values), 0).astype(np.float32)
    check_against_template(brain, grid, volume, name="head")


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0])
def test_noise_in_the_shape_of_a_brain_is_refused(sigma: float) -> None:
    _, brain, grid = patient()
    with pytest.raises(QualityRefused, match="as in noise") as caught:
        check_against_template(brain, grid, smooth_noise(brain.shape, sigma), name="head.nii.gz")
    assert caught.value.evidence is not None
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("size", [0.5, 1.7])
def test_an_implausible_size_is_refused(size: float) -> None:
    values, brain, grid = patient(size=size)
    with pytest.raises(QualityRefused, match="template's"):
        check_against_template(brain, grid, values, name="head")


def test_a_head_upside_down_is_refused() -> None:
    values, brain, grid = patient()
    with pytest.raises(QualityRefused, match=r"half a turn about the (left-right|back-front)"):
        check_against_template(brain[:, :, ::-1], grid, values[:, :, ::-1], name="head")


def test_an_implausible_shape_is_refused() -> None:
    values, brain, grid = patient()
    slab = brain.copy()
    slab[:, : brain.shape[1] // 2, :] = False
    with pytest.raises(QualityRefused, match="overlaps"):
        check_against_template(slab, grid, values, name="head")


def test_the_template_is_more_similar_to_itself_than_to_noise() -> None:
    values, brain, grid = patient()
    fixed = template_registration_image(4.0)
    nats = []
    for volume in (values, smooth_noise(brain.shape, 0.0)):
        moving = make_registration_image(volume, brain, grid, 4.0)
        nats.append(template_similarity(fixed, moving, register_coarsely(fixed, moving).matrix))
    assert nats[0] > 0.5
    assert nats[1] < 0.01


def test_rank_mutual_information_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(6)
    first = rng.permutation(np.arange(1600.0))
    second = np.argsort(np.argsort(first + rng.normal(0, 400, 1600))).astype(float)
    expected = mutual_info_score(first // 100, second // 100)
    assert rank_mutual_information(first, np.exp(second / 200)) == pytest.approx(expected, abs=1e-6)
