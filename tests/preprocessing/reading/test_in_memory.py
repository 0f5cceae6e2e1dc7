"""Images in memory, in place of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch

import anomri
from anomri.errors import AnomriError, UnreadableScan, UsageError, WrongShape
from anomri.preprocessing.reading.scan_images import read_image
from anomri.preprocessing.reading.segmentations import read_segmentation
from anomri.scan import Affine, Volume

ROTATION = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
FLIP = np.diag([-1.0, 1, -1])
AFFINES = {
    "plain": np.eye(3),
    "anisotropic": np.diag([0.9, 1.5, 6.0]),
    "flipped": FLIP @ np.diag([1.0, 2, 3]),
    "permuted": np.array([[0, 0, 3.0], [-1, 0, 0], [0, 2, 0]]),
    "rotated": ROTATION @ np.diag([1.0, 2, 3]),
    "rotated and flipped": ROTATION.T @ FLIP @ np.diag([1.0, 2, 3]),
}
SHEAR = np.array([[1.0, 0.2, 0], [0, 2, 0.3], [0, 0, 3]])


def volume() -> Volume:
    return np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)


def affine_of(linear: np.ndarray[Any, Any]) -> Affine:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, [-11, 23, 5]
    return affine


@pytest.mark.parametrize("name", AFFINES)
def test_an_image_of_simpleitk_has_the_grid_that_nibabel_reads(tmp_path: Path, name: str) -> None:
    image = nib.Nifti1Image(volume(), affine_of(AFFINES[name]))
    image.set_qform(image.affine, 1)
    nib.save(image, tmp_path / "a.nii")
    native = read_image(SimpleITK.ReadImage(str(tmp_path / "a.nii")), "flair")
    np.testing.assert_array_equal(native.values, volume())
    np.testing.assert_allclose(native.grid.affine, image.affine, atol=1e-4)


@pytest.mark.parametrize("name", AFFINES)
def test_a_point_lies_where_simpleitk_places_it(name: str) -> None:
    image = SimpleITK.GetImageFromArray(volume().T)
    linear = np.diag([-1.0, -1, 1]) @ AFFINES[name]
    spacing = np.linalg.norm(linear, axis=0)
    image.SetSpacing(spacing)
    image.SetDirection((linear / spacing).ravel())
    image.SetOrigin((4.0, -7.0, 9.0))
    grid = read_image(image, "flair").grid
    left, back, up = image.TransformIndexToPhysicalPoint((4, 2, 5))
    np.testing.assert_allclose(grid.to_world(np.array([4.0, 2, 5])), [-left, -back, up], atol=1e-5)


@pytest.mark.parametrize("linear", [*AFFINES.values(), SHEAR], ids=[*AFFINES, "sheared"])
@pytest.mark.parametrize("kind", ["numpy", "torch", "bfloat16", "int64", "bool", "list"])
def test_an_array_has_the_grid_of_its_affine(linear: np.ndarray[Any, Any], kind: str) -> None:
    values: Any = volume() > 0 if kind in ("bool", "int64", "bfloat16") else volume()
    affine: Any = affine_of(linear)
    pairs: dict[str, Any] = {
        "numpy": (values, affine),
        "torch": (torch.tensor(values).float().requires_grad_(), torch.tensor(affine)),
        "bfloat16": (torch.tensor(values).bfloat16(), affine),
        "int64": (values.astype(np.int64), affine.tolist()),
        "bool": (values, affine),
        "list": [values, affine],
    }
    pair = pairs[kind]
    native = read_image(pair, "flair")
    np.testing.assert_array_equal(native.values, values.astype(np.float32))
    np.testing.assert_allclose(native.grid.affine, affine)
    assert native.orientation_known
    assert read_segmentation(pair).values.shape == (5, 6, 7)


@pytest.mark.parametrize(
    "given",
    [
        volume(),
        torch.zeros(5, 6, 7),
        None,
        7,
        b"flair.nii",
        (volume(), np.eye(3)),
        (volume(), None),
        (volume(), "RAS"),
        ("flair.nii", np.eye(4)),
        (volume(), np.full((4, 4), np.nan)),
        (volume(), np.eye(4), "flair"),
        {"array": volume()},
    ],
    ids=lambda given: type(given).__name__,
)
def test_anything_else_is_refused_with_what_is_expected(given: object) -> None:
    with pytest.raises(UnreadableScan) as caught:
        read_image(given, "flair")  # type: ignore[arg-type]
    assert caught.value.file in ("flair", "flair in memory")
    assert "affine" in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "given",
    [
        (np.zeros((5, 6, 7), np.complex64), np.eye(4)),
        (np.zeros((5, 6, 7), object), np.eye(4)),
        (np.zeros((2, 5, 6, 7)), np.eye(4)),
        (np.zeros((5, 6)), np.eye(4)),
        (np.zeros((0, 6, 7)), np.eye(4)),
        SimpleITK.Image([5, 6, 7], SimpleITK.sitkVectorFloat32, 3),
        SimpleITK.Image([5, 6, 7, 2], SimpleITK.sitkFloat32),
        SimpleITK.Image([5, 6], SimpleITK.sitkFloat32),
        SimpleITK.Image([5, 6, 7], SimpleITK.sitkComplexFloat32),
    ],
)
def test_what_is_no_scalar_volume_is_refused(given: Any) -> None:
    with pytest.raises(WrongShape):
        read_image(given, "flair")


def test_detect_gives_the_same_result_for_every_kind_of_image(
    stripped: Volume, tmp_path: Path
) -> None:
    affine = np.diag([2.0, 2, 2, 1])
    stripped = stripped.copy()
    stripped[30:36, 28:34, 24:30] += 400
    nib.save(nib.Nifti1Image(stripped, affine), tmp_path / "a.nii")
    path = tmp_path / "a.nii"
    original, model = stripped.copy(), anomri.load("intensity", device="cpu")
    given: list[Any] = [
        path,
        str(path),
        nib.load(path),
        SimpleITK.ReadImage(str(path)),
        (stripped, affine),
        (torch.from_numpy(stripped), torch.from_numpy(affine)),
    ]
    masks = [model.detect({"flair": image}).mask for image in given]
    assert np.asarray(masks[0].dataobj).any()
    for mask in masks:
        np.testing.assert_array_equal(np.asarray(mask.dataobj), np.asarray(masks[0].dataobj))
        np.testing.assert_allclose(mask.affine, affine, atol=1e-5)
    np.testing.assert_array_equal(stripped, original)


def test_detect_states_what_it_expects() -> None:
    model = anomri.load("intensity", device="cpu")
    wrongs: list[Any] = [volume(), "flair.nii.gz", [volume()]]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="'flair': image"):
            model.detect(wrong)
    bare: Any = [{"flair": volume()}]
    results = list(model.detect_many(bare, on_error="collect"))
    assert isinstance(results[0], AnomriError)
