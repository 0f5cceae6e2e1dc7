from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile

from anomri.errors import MissingContrast, UnreadableScan, WrongShape
from anomri.preprocessing import read_labels, read_volume
from anomri.preprocessing.reading.scan_images import read_image

ROWS, COLUMNS, COUNT = 20, 24, 12


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """Return slices 1 to 12; red, green and blue are k, 10 + k and 20 + k."""
    for k in range(1, COUNT + 1):
        page = np.zeros((ROWS, COLUMNS, 3), np.uint8)
        page[5, 7] = (k, 10 + k, 20 + k)
        mask = np.zeros((ROWS, COLUMNS), np.uint8)
        mask[5, 7] = 255 if k == 3 else 0
        tifffile.imwrite(tmp_path / f"P_1_{k}.tif", page)
        tifffile.imwrite(tmp_path / f"P_1_{k}_mask.tif", mask)
    return tmp_path


@pytest.mark.parametrize(("contrast", "offset"), [("t1", 0), ("flair", 10), ("t1ce", 20)])
def test_slices_stack_by_number_and_contrasts_are_colours(
    patient: Path, contrast: str, offset: int
) -> None:
    values, grid = read_volume(patient, contrast)
    assert grid.shape == (ROWS, COLUMNS, COUNT)
    np.testing.assert_array_equal(values[5, 7], offset + np.arange(1, COUNT + 1))


def test_rows_run_to_the_back_and_columns_to_the_left(patient: Path) -> None:
    _, grid = read_volume(patient, "flair")
    assert nib.aff2axcodes(grid.affine) == ("P", "L", "S")
    assert grid.spacing == (1, 1, 1)


def test_the_unknown_spacing_is_noted(patient: Path) -> None:
    native = read_image(patient, "flair")
    assert not native.spacing_known
    assert "no voxel size" in native.notes[0].text


def test_masks_become_label_two(patient: Path) -> None:
    labels, _ = read_labels(patient)
    assert labels[5, 7, 2] == 2
    assert np.count_nonzero(labels) == 1


def test_another_contrast_is_missing(patient: Path) -> None:
    with pytest.raises(MissingContrast, match="t2"):
        read_volume(patient, "t2")


def test_a_broken_slice_is_named(patient: Path) -> None:
    (patient / "P_1_4.tif").write_bytes(b"II*\x00 and no more")
    with pytest.raises(UnreadableScan, match=r"P_1_4\.tif"):
        read_volume(patient, "flair")


def test_slices_of_two_sizes_are_refused(patient: Path) -> None:
    tifffile.imwrite(patient / "P_1_4.tif", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(WrongShape, match="8 x 8"):
        read_volume(patient, "flair")


def test_grey_slices_are_refused(tmp_path: Path) -> None:
    for k in range(4):
        tifffile.imwrite(tmp_path / f"P_{k}.tif", np.zeros((8, 8), np.uint8))
    with pytest.raises(WrongShape, match="three colours"):
        read_volume(tmp_path, "flair")
