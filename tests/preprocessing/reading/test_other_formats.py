"""NRRD files and pairs of files: the same values and refusals as of NIfTI."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from anomri.datasets import find
from anomri.errors import ScanError, UnreadableScan, WrongShape
from anomri.files import LIMIT_VARIABLE
from anomri.preprocessing import read_volume
from anomri.preprocessing.reading.nrrd import read_nrrd

AFFINE = np.array([[-2.0, 0, 0, 30], [0, 1.5, 0, -40], [0, 0, 3, 7], [0, 0, 0, 1]])


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(100, 20, (12, 10, 8)).astype(np.float32)


def write_nrrd(path: Path, values: np.ndarray, *, packed: bool = True) -> Path:
    nifti = path.with_suffix(".nii")
    nib.save(nib.Nifti1Image(values, AFFINE), nifti)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(nifti)), str(path), packed)
    nifti.unlink()
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_a_nrrd_file_lies_where_its_nifti_lies(
    tmp_path: Path, values: np.ndarray, packed: bool
) -> None:
    read, grid = read_volume(write_nrrd(tmp_path / "flair.nrrd", values, packed=packed))
    np.testing.assert_array_equal(read, values)
    np.testing.assert_allclose(grid.affine, AFFINE)


@pytest.mark.parametrize("packed", [True, False])
def test_a_truncated_nrrd_file_is_named(tmp_path: Path, values: np.ndarray, packed: bool) -> None:
    path = write_nrrd(tmp_path / "flair.nrrd", values, packed=packed)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableScan, match=r"flair\.nrrd: expected a complete NRRD image"):
        read_volume(path)


def test_a_damaged_nrrd_file_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    path = write_nrrd(tmp_path / "flair.nrrd", values)
    content = bytearray(path.read_bytes())
    content[-400:-300] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ScanError):
        read_volume(path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"encoding: raw", b"data file: /etc/passwd\nencoding: raw", "refers to another file"),
        (b"sizes: 12 10 8", b"sizes: 120 100 80", "bytes of voxels"),
        (b"NRRD", b"NRDD", "another kind"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused(
    tmp_path: Path, values: np.ndarray, old: bytes, new: bytes, reason: str
) -> None:
    path = write_nrrd(tmp_path / "flair.nrrd", values, packed=False)
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(UnreadableScan, match=reason):
        read_volume(path)


def test_a_large_nrrd_file_is_refused(
    tmp_path: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_nrrd(tmp_path / "flair.nrrd", values)
    monkeypatch.setenv(LIMIT_VARIABLE, "0.000001")
    with pytest.raises(UnreadableScan, match="in memory"):
        read_volume(path)


def test_a_nrrd_file_of_several_volumes_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    image = SimpleITK.GetImageFromArray(np.stack([values, values], axis=-1), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "flair.nrrd"))
    with pytest.raises(WrongShape, match="numbers per voxel"):
        read_volume(tmp_path / "flair.nrrd")


def test_a_nrrd_file_without_a_space_does_not_state_its_orientation(tmp_path: Path) -> None:
    header = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(header + bytes(range(64)))
    raw = read_nrrd(tmp_path / "a.nrrd")
    assert (raw.orientation_known, raw.spacing_known) == (False, False)


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.AnalyzeImage])
def test_a_pair_is_found_and_read_by_its_header(
    tmp_path: Path, values: np.ndarray, kind: type[nib.Nifti1Pair]
) -> None:
    (tmp_path / "study").mkdir()
    nib.save(kind(values, AFFINE), tmp_path / "study" / "p1_flair.img")
    (scan,) = find(tmp_path / "study").scans
    assert find(tmp_path / "study" / "p1_flair.img").scans[0].contrasts == scan.contrasts
    assert scan.contrasts["flair"].name == "p1_flair.hdr"
    read, _ = read_volume(scan.contrasts["flair"], orientation="RAS")  # Analyze states none
    np.testing.assert_array_equal(read, values)


def test_an_analyze_header_with_a_number_out_of_range_is_named(
    tmp_path: Path, values: np.ndarray
) -> None:
    nib.save(nib.AnalyzeImage(values, AFFINE), tmp_path / "flair.img")
    header = bytearray((tmp_path / "flair.hdr").read_bytes())
    struct.pack_into("<f", header, 108, -1e30)  # where the voxels begin
    (tmp_path / "flair.hdr").write_bytes(header)
    with pytest.raises(UnreadableScan, match=r"flair\.img: .*header with a number out of"):
        read_volume(tmp_path / "flair.img", orientation="RAS")


def test_half_a_pair_is_left_out_with_the_reason(tmp_path: Path, values: np.ndarray) -> None:
    nib.save(nib.Nifti1Pair(values, AFFINE), tmp_path / "p1_flair.img")
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "p2_flair.nii")
    (tmp_path / "p1_flair.img").unlink()
    with pytest.raises(UnreadableScan, match="put the other one beside it"):
        read_volume(tmp_path / "p1_flair.hdr")
    found = find(tmp_path)
    assert [scan.subject for scan in found.scans] == ["p2"]
    assert [(item.name, "one file of a" in item.reason) for item in found.skipped] == [
        ("p1_flair.hdr", True)
    ]


def test_formats_are_found_in_any_folder(tmp_path: Path, values: np.ndarray) -> None:
    write_nrrd(tmp_path / "a_flair.nrrd", values)
    nib.save(nib.MGHImage(values, AFFINE.astype(np.float32)), tmp_path / "b_flair.mgz")
    found = find(tmp_path)
    assert [scan.subject for scan in found.scans] == ["a", "b"]
