"""The mask does not depend on scale, offset, padding or a few voxels."""

from __future__ import annotations

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest

import anomri
from anomri.preprocessing.reading.outlier_voxels import replace_outlier_voxels
from anomri.preprocessing.reading.scan_images import read_image
from anomri.scan import Mask, Volume

AFFINE = np.diag([2.0, 2, 2, 1])

Change = Callable[[Volume], np.ndarray[tuple[int, ...], np.dtype[np.floating]]]


def background(value: float) -> Change:
    return lambda values: np.where(values > 0, values, np.float32(value))


def voxel(index: tuple[int, int, int], value: float) -> Change:
    def change(values: Volume) -> Volume:
        values[index] = value
        return values

    return change


def salt(values: Volume) -> Volume:
    places = np.random.default_rng(0).choice(values.size, values.size // 500, replace=False)
    values.reshape(-1)[places] = 1e5
    return values


SAME: dict[str, Change] = {
    "times 1e-9": lambda values: values * 1e-9,
    "times 1e-20": lambda values: values * 1e-20,
    "times 1e6": lambda values: values * 1e6,
    "times 1e30": lambda values: values.astype(np.float64) * 1e30,
    "plus 1000": lambda values: values + 1000,
    "plus 1e6": lambda values: values.astype(np.float64) + 1e6,
    "minus 500": lambda values: values - 500,
    "background -1": background(-1),
    "background -1024": background(-1024),
    "background -32768": background(-32768),
    "background NaN": background(np.nan),
    "one spike in the brain": voxel((29, 31, 27), 1e9),
    "one spike below": voxel((29, 31, 27), -1e9),
    "one spike beside": voxel((0, 0, 0), 1e30),
    "one corner at -0.1": voxel((0, 0, 0), -60),
    "one corner at -0.3": voxel((59, 63, 55), -180),
    "one voxel of the brain below zero": voxel((20, 31, 27), -60),
    "salt": salt,
}


@pytest.fixture(scope="module")
def patient(stripped: Volume) -> Volume:
    values = stripped.copy()
    values[30:37, 28:35, 24:31] += 400
    return values


@pytest.fixture(scope="module")
def found(patient: Volume) -> Mask:
    return marked(patient)


def marked(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Mask:
    result = anomri.load("intensity", device="cpu").detect({"flair": (values, AFFINE)})
    return np.asarray(result.mask.dataobj) > 0


@pytest.mark.parametrize("name", SAME)
def test_the_mask_stays_the_same(patient: Volume, found: Mask, name: str) -> None:
    assert found.any()
    changed = marked(SAME[name](patient.copy()))
    assert 2 * np.sum(changed & found) / (np.sum(changed) + np.sum(found)) >= 0.99


def test_outliers_are_counted_and_nothing_else_changes(patient: Volume) -> None:
    values = patient.copy()
    values[29, 31, 27], values[5, 5, 5] = 1e9, -1e9
    native = replace_outlier_voxels(read_image(nib.Nifti1Image(values, AFFINE), "flair"))
    assert "2 voxels" in native.notes[0].text
    changed = np.argwhere(native.values != patient)
    assert changed.tolist() == [[29, 31, 27]]
    near = patient[28:31, 30:33, 26:29].ravel()
    assert native.values[29, 31, 27] == pytest.approx(np.median(np.delete(near, 13)))


def test_a_bright_lesion_is_no_outlier(patient: Volume) -> None:
    native = read_image(nib.Nifti1Image(patient, AFFINE), "flair")
    assert replace_outlier_voxels(native) is native
