from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from anomri.datasets import find

CASE = "TCGA_DU_0001_19990101"


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """Twelve RGB slices whose numbers do not sort as text."""
    folder = tmp_path / "kaggle_3m" / CASE
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(1, 13):
        image = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        tifffile.imwrite(folder / f"{CASE}_{number}.tif", image)
        tifffile.imwrite(folder / f"{CASE}_{number}_mask.tif", image[..., 0])
    (folder.parent / "data.csv").touch()
    return folder


def _repeat_flair(folder: Path, channel: int, numbers: range) -> None:
    for number in numbers:
        path = folder / f"{CASE}_{number}.tif"
        image = tifffile.imread(path)
        image[..., channel] = image[..., 1]
        tifffile.imwrite(path, image)


def test_every_path_is_the_folder(slices: Path) -> None:
    found = find(slices.parent.parent)
    assert found.layout == "lgg"
    assert found.skipped == ()
    (scan,) = found.scans
    assert dict(scan.contrasts) == dict.fromkeys(("flair", "t1", "t1ce"), slices)
    assert (scan.subject, scan.truth, scan.healthy) == (CASE, slices, False)


def test_a_channel_that_repeats_the_flair_is_left_out(slices: Path) -> None:
    _repeat_flair(slices, 2, range(1, 13))
    found = find(slices)
    assert set(found.scans[0].contrasts) == {"flair", "t1"}
    assert found.skipped[0].name == f"{CASE} t1ce"
    assert "repeats the FLAIR" in found.skipped[0].reason


def test_one_equal_slice_is_no_missing_contrast(slices: Path) -> None:
    _repeat_flair(slices, 0, range(6, 7))
    assert "t1" in find(slices).scans[0].contrasts


def test_without_masks_there_is_no_truth(slices: Path) -> None:
    for mask in slices.glob("*_mask.tif"):
        mask.unlink()
    assert find(slices).scans[0].truth is None


def test_a_broken_slice_is_left_for_the_reader_to_report(slices: Path) -> None:
    (slices / f"{CASE}_6.tif").write_bytes(b"not a picture")
    assert set(find(slices).scans[0].contrasts) == {"flair", "t1", "t1ce"}


def test_a_folder_of_masks_only_is_skipped(slices: Path) -> None:
    other = slices.parent / "TCGA_X_2"
    other.mkdir()
    (other / "TCGA_X_2_1_mask.tif").touch()
    (other / "photo.tif").touch()
    found = find(slices.parent)
    assert {item.name: item.reason.split()[0] for item in found.skipped} == {
        "TCGA_X_2": "only",
        "TCGA_X_2/photo.tif": "not",
    }
