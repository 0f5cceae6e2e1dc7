"""Folders of greyscale PNG slices, as in BrainMetShare."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from anomri.datasets import find
from anomri.errors import UnreadableScan, WrongShape
from anomri.preprocessing import read_labels, read_volume

ROWS, COLUMNS, COUNT = 20, 24, 12


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """Two sequences and a mask of slices 0 to 11; what marks slice k is 10 + k, or 40 + k."""
    for sequence, first in (("0", 40), ("3", 10), ("seg", 0)):
        folder = tmp_path / "Mets_001" / sequence
        folder.mkdir(parents=True)
        for k in range(COUNT):
            page = np.zeros((ROWS, COLUMNS), np.uint8)
            page[5, 7] = first + k if first else 255 * (k == 3)
            Image.fromarray(page).save(folder / f"{k:03d}.png")
    return tmp_path / "Mets_001"


def test_slices_stack_by_number(patient: Path) -> None:
    values, grid = read_volume(patient / "3", "flair")
    assert grid.shape == (ROWS, COLUMNS, COUNT)
    np.testing.assert_array_equal(values[5, 7], 10 + np.arange(COUNT))
    assert nib.aff2axcodes(grid.affine) == ("P", "L", "S")
    np.testing.assert_allclose(grid.spacing, (0.94, 0.94, 1))


def test_white_is_lesion(patient: Path) -> None:
    labels, _ = read_labels(patient / "seg")
    assert labels[5, 7, 3] == 1
    assert np.count_nonzero(labels) == 1


def test_what_the_layout_finds_is_what_is_read(patient: Path) -> None:
    (scan,) = find(patient.parent).scans
    assert read_volume(scan.contrasts["t1ce"], "t1ce")[0].max() == 40 + COUNT - 1
    assert scan.truth is not None
    assert read_labels(scan.truth)[0].any()


def test_a_broken_slice_is_named(patient: Path) -> None:
    (patient / "3" / "004.png").write_bytes(b"\x89PNG and no more")
    with pytest.raises(UnreadableScan, match=r"004\.png"):
        read_volume(patient / "3", "flair")


def test_colours_and_two_sizes_are_refused(patient: Path) -> None:
    Image.new("RGB", (COLUMNS, ROWS)).save(patient / "3" / "004.png")
    with pytest.raises(WrongShape, match="colours"):
        read_volume(patient / "3", "flair")
    Image.new("L", (8, 8)).save(patient / "3" / "004.png")
    with pytest.raises(WrongShape, match="8 x 8"):
        read_volume(patient / "3", "flair")
