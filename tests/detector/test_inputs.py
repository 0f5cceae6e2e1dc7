"""What `detect` takes and what it refuses, and its result in the forms of other libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from anomri import AnomriError, Detector, Result, load
from anomri.errors import UsageError
from anomri.files import FINDINGS, read_tsv
from anomri.preprocessing import to_simpleitk
from anomri.reporting import write_tables

AFFINE = np.array([[0, -3.0, 0, 70], [3, 0, 0, -60], [0, 0, 3, -70], [0, 0, 0, 1]])
Make = Callable[[NDArray[np.float32], Path], Any]


def _nifti(values: NDArray[np.float32]) -> nib.Nifti1Image:
    return nib.Nifti1Image(values, AFFINE)


def _path(values: NDArray[np.float32], folder: Path, name: str) -> Path:
    if name.endswith(".nrrd"):
        SimpleITK.WriteImage(to_simpleitk(_nifti(values)), str(folder / name))
    elif name.endswith(".mgz"):
        nib.save(nib.MGHImage(values, AFFINE), folder / name)
    else:
        nib.save(_nifti(values), folder / name)
    return folder / name


FORMS: dict[str, Make] = {
    "nibabel": lambda values, _: _nifti(values),
    "SimpleITK": lambda values, _: to_simpleitk(_nifti(values)),
    "array and affine": lambda values, _: (values, AFFINE),
    "path": lambda values, folder: _path(values, folder, "flair.nii.gz"),
    "text": lambda values, folder: str(_path(values, folder, "flair.nii")),
    "NRRD": lambda values, folder: _path(values, folder, "flair.nrrd"),
    "FreeSurfer": lambda values, folder: _path(values, folder, "flair.mgz"),
    "pair": lambda values, folder: _path(values, folder, "flair.hdr"),
}


@pytest.fixture(scope="module")
def head() -> NDArray[np.float32]:
    values = np.zeros((48, 48, 48), np.float32)
    values[8:40, 8:40, 8:40] = 100 + np.random.default_rng(0).normal(size=(32, 32, 32))
    values[20:26, 20:26, 20:26] = 200
    return values


@pytest.fixture(scope="module")
def model() -> Detector:
    return load("intensity", device="cpu")


@pytest.fixture(scope="module")
def result(model: Detector, head: NDArray[np.float32]) -> Result:
    return model.detect({"flair": (head, AFFINE)}, name="p1")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_gives_the_same_result(
    form: str, model: Detector, head: NDArray[np.float32], result: Result, tmp_path: Path
) -> None:
    found = model.detect({"flair": FORMS[form](head, tmp_path)})
    np.testing.assert_array_equal(found.mask.get_fdata(), result.mask.get_fdata())
    np.testing.assert_allclose(found.mask.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize(
    "images",
    [
        None,
        [],
        "flair.nii.gz",
        {},
        {1: (np.zeros((9, 9, 9)), np.eye(4))},
        {"flair": None},
        {"flair": 3},
        {"flair": b"flair.nii.gz"},
        {"flair": np.zeros((9, 9, 9))},
        {"flair": (np.zeros((9, 9, 9)),)},
        {"flair": (np.zeros((9, 9, 9)), "RAS")},
        {"flair": (["a"], np.eye(4))},
        {"flair": {"image": 1}},
        {"flair": "missing.nii.gz"},
        {"flair": ""},
        {"t9": (np.ones((9, 9, 9)), np.eye(4))},
        {"flair": (np.array([[["a"] * 4] * 4] * 4), np.eye(4))},
        {"flair": SimpleITK.Image(9, 9, SimpleITK.sitkUInt8)},
        {"flair": nib.Nifti1Image(np.zeros((9, 9, 9, 2)), np.eye(4))},
    ],
)
def test_anything_else_is_refused_in_words(model: Detector, images: Any) -> None:
    with pytest.raises(AnomriError, match="expected"):
        model.detect(images)


@pytest.mark.parametrize("brain", [3, "missing.nii", np.ones((48, 48, 48)), object()])
def test_a_brain_that_is_no_image_is_refused(
    model: Detector, head: NDArray[np.float32], brain: Any
) -> None:
    with pytest.raises(AnomriError, match="expected"):
        model.detect({"flair": (head, AFFINE)}, brain=brain)


def test_many_subjects_may_hold_one_that_is_none(
    model: Detector, head: NDArray[np.float32]
) -> None:
    with pytest.raises(AnomriError, match="expected images by contrast"):
        list(model.detect_many([{"flair": (head, AFFINE)}, head]))  # type: ignore[list-item]


def test_findings_as_a_table_are_those_on_disk(result: Result, tmp_path: Path) -> None:
    frame = result.to_frame()
    result.save(tmp_path)
    write_tables(tmp_path)
    (row,) = read_tsv(tmp_path / FINDINGS)
    assert list(frame.columns) == list(row)
    assert len(frame) == len(result.findings) == 1
    assert frame.loc[0, "volume_ml"] == pytest.approx(float(row["volume_ml"]), rel=1e-5)
    assert frame.loc[0, "subject"] == "p1"


def test_images_of_simpleitk_lie_where_nibabel_places_them(result: Result, tmp_path: Path) -> None:
    for name, image in (("mask", result.mask), ("anomaly", result.anomaly)):
        SimpleITK.WriteImage(result.to_sitk(name), str(tmp_path / "a.nii.gz"))  # type: ignore[arg-type]
        back = nib.Nifti1Image.from_filename(tmp_path / "a.nii.gz")
        np.testing.assert_allclose(back.affine, image.affine, atol=1e-4)
        np.testing.assert_array_equal(back.get_fdata(), image.get_fdata())


def test_a_misspelt_contrast_is_refused_and_a_known_one_left_out(
    model: Detector, head: NDArray[np.float32]
) -> None:
    image = (head, AFFINE)
    with pytest.raises(UsageError, match="'t1gd': expected one of flair, t1, t1ce, t2"):
        model.detect({"flair": image, "t1gd": image})
    assert model.detect({"flair": image, "t1": image}).detection.anomaly.scan.contrasts == (
        "flair",
    )


def test_a_name_without_latin_letters_can_be_saved(
    model: Detector, head: NDArray[np.float32], tmp_path: Path
) -> None:
    result = model.detect({"flair": (head, AFFINE)}, name="患者")
    assert result.save(tmp_path).parent.name == "sub-x9db4a3"
