"""NaN and infinite voxels: background outside the brain, refused inside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
import pytest

from anomri.errors import BadIntensities
from anomri.preprocessing import prepare_images
from anomri.preprocessing.reading.scan_images import read_image
from anomri.preprocessing.reading.segmentations import read_segmentation
from anomri.recipe import Preparation
from anomri.scan import Mask, Scan, Volume

Write = Callable[..., Path]

AFFINE = np.array([[-2.0, 0, 0, 60], [0, -2, 0, 66], [0, 0, 2, -50], [0, 0, 0, 1]])


def prepared(
    values: Volume,
    *,
    second: Volume | None = None,
    mask: Mask | None = None,
    method: Literal["auto", "given"] = "auto",
) -> Scan:
    images = {"flair": nib.Nifti1Image(values, AFFINE)}
    if second is not None:
        images["t1ce"] = nib.Nifti1Image(second, AFFINE)
    brain = None if mask is None else nib.Nifti1Image(mask.astype(np.uint8), AFFINE)
    return prepare_images(images, Preparation(brain=method), tuple(images), brain=brain)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_background_that_is_no_number_gives_the_same_scan(
    stripped: Volume, brain_ball: Mask, bad: float
) -> None:
    plain = prepared(stripped)
    broken = prepared(np.where(brain_ball, stripped, np.float32(bad)))
    np.testing.assert_array_equal(broken.image, plain.image)
    np.testing.assert_array_equal(broken.brain, plain.brain)
    outside = int(np.count_nonzero(~brain_ball))
    assert any(f"{outside} voxels that are NaN or infinite" in note.text for note in broken.notes)


def test_a_z_score_keeps_its_dark_voxels_beside_nan(stripped: Volume, brain_ball: Mask) -> None:
    scores = (stripped - 300) / 40
    plain = prepared(stripped)
    scored = prepared(np.where(brain_ball, scores, np.float32(np.nan)))
    np.testing.assert_array_equal(scored.brain, plain.brain)
    np.testing.assert_allclose(scored.image, plain.image, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("given", [True, False])
def test_non_finite_voxels_inside_the_brain_are_refused_and_counted(
    stripped: Volume, brain_ball: Mask, bad: float, given: bool
) -> None:
    broken = stripped.copy()
    broken[28:30, 31, 26:29] = bad
    with pytest.raises(BadIntensities, match="6 voxels that are NaN or infinite inside the brain"):
        prepared(broken, mask=brain_ball if given else None)


def test_a_second_contrast_is_held_to_the_same_rule(stripped: Volume, brain_ball: Mask) -> None:
    outside = np.where(brain_ball, stripped, np.float32(np.nan))
    assert any("t1ce" in note.text for note in prepared(stripped, second=outside).notes)
    outside[29, 31, 27] = np.nan
    with pytest.raises(BadIntensities, match=r"t1ce in memory.* 1 voxels"):
        prepared(stripped, second=outside)


def test_a_given_mask_over_half_an_image_of_nan_is_refused(
    stripped: Volume, brain_ball: Mask
) -> None:
    broken = stripped.copy()
    broken[:29] = np.nan
    with pytest.raises(BadIntensities, match="in the brain"):
        prepared(broken, mask=brain_ball, method="given")


def test_an_image_of_nothing_but_nan_is_refused(stripped: Volume) -> None:
    with pytest.raises(BadIntensities, match="in the whole image"):
        prepared(np.full_like(stripped, np.nan))


def test_values_beyond_single_precision_count_as_infinite(write: Write, stripped: Volume) -> None:
    huge = stripped.astype(np.float64)
    huge[0, 0, 0] = 1e300
    assert "1 voxels" in read_image(write(huge)).notes[0].text


def test_a_mask_with_nan_is_refused(write: Write, brain_ball: Mask) -> None:
    with pytest.raises(BadIntensities):
        read_segmentation(write(np.where(brain_ball, 1, np.float32(np.nan))))
