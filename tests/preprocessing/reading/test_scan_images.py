from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from anomri.errors import BadIntensities, ScanError, UnreadableScan, WrongShape
from anomri.preprocessing import read_volume
from anomri.preprocessing.reading.raw_image import SPACING_UNKNOWN
from anomri.preprocessing.reading.scan_images import read_image
from anomri.scan import Volume

Write = Callable[..., Path]

SHAPE = (60, 64, 56)
AFFINE = np.array([[-2.0, 0, 0, 60], [0, -2, 0, 66], [0, 0, 2, -50], [0, 0, 0, 1]])


def refusal(path: Path) -> ScanError:
    with pytest.raises(ScanError) as caught:
        read_volume(path, "flair")
    error = caught.value
    assert error.file == path.name
    assert str(path.parent) not in str(error)
    assert error.next_step
    return error


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_values_and_affine_come_as_the_file_has_them(
    write: Write, stripped: Volume, name: str
) -> None:
    values, grid = read_volume(write(stripped, name))
    np.testing.assert_array_equal(values, stripped)
    np.testing.assert_allclose(grid.affine, AFFINE)
    assert values.dtype == np.float32
    assert grid.shape == SHAPE


def test_mgh_and_analyze_pairs_are_read(tmp_path: Path, stripped: Volume) -> None:
    nib.save(nib.MGHImage(stripped, AFFINE.astype(np.float32)), tmp_path / "a.mgz")
    nib.save(nib.Nifti1Pair(stripped, AFFINE), tmp_path / "b.img")
    for name in ("a.mgz", "b.img"):
        np.testing.assert_array_equal(read_volume(tmp_path / name)[0], stripped)


def test_big_endian_is_read(tmp_path: Path, stripped: Volume) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image(stripped.astype(np.int16), AFFINE, header)
    nib.save(image, tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:4] == struct.pack(">i", 348)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii")[0], stripped.astype(np.int16))


def test_integers_that_stand_for_zero_to_one_keep_their_fractions(
    tmp_path: Path, stripped: Volume
) -> None:
    image = nib.Nifti1Image((stripped / stripped.max()).astype(np.float32), AFFINE)
    image.header.set_data_dtype(np.uint8)
    nib.save(image, tmp_path / "a.nii.gz")
    values, _ = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(values, stripped / stripped.max(), atol=0.5 / 255)


def test_codes_and_a_second_qform_are_remembered(tmp_path: Path, stripped: Volume) -> None:
    image = nib.Nifti1Image(stripped, AFFINE)
    qform = np.diag([2.0, 2.0, 2.0, 1.0])
    image.set_sform(AFFINE, code=4)
    image.set_qform(qform, code=1)
    nib.save(image, tmp_path / "a.nii")
    _, grid = read_volume(tmp_path / "a.nii")
    assert (grid.sform_code, grid.qform_code) == (4, 1)
    assert grid.qform is not None
    np.testing.assert_allclose(grid.qform, qform, atol=1e-4)


def test_a_header_without_a_voxel_size_is_noted(
    tmp_path: Path, stripped: Volume, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(stripped, None), path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<3f", content, 80, 0, 0, 0)
    path.write_bytes(content)
    native = read_image(path, orientation="LAS")
    assert not native.spacing_known
    assert SPACING_UNKNOWN in native.notes
    assert caplog.text == ""


@pytest.mark.parametrize("side", [0.002, 100])
def test_voxels_of_no_head_are_refused(tmp_path: Path, stripped: Volume, side: float) -> None:
    nib.save(nib.Nifti1Image(stripped, np.diag([2, 2, side, 1])), tmp_path / "a.nii")
    error = refusal(tmp_path / "a.nii")
    assert f"2 x 2 x {side:g} mm" in error.reason
    assert "units" in error.next_step


@pytest.mark.parametrize(("name", "right"), [("a.nii", "a.nii.gz"), ("a.nii.gz", "a.nii")])
def test_an_ending_that_lies_is_named(
    tmp_path: Path, stripped: Volume, name: str, right: str
) -> None:
    nib.save(nib.Nifti1Image(stripped, AFFINE), tmp_path / right)
    (tmp_path / right).rename(tmp_path / name)
    assert f"rename it to {right};" in refusal(tmp_path / name).next_step


def test_a_damaged_header_says_what_is_wrong(tmp_path: Path, stripped: Volume) -> None:
    nib.save(nib.Nifti1Image(stripped, AFFINE), path := tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<h", content, 70, 1234)
    path.write_bytes(content)
    assert "1234" in refusal(path).reason


def test_a_trailing_axis_of_one_is_no_fourth_axis(write: Write, stripped: Volume) -> None:
    values, _ = read_volume(write(stripped[..., None]))
    assert values.shape == SHAPE


def test_images_in_memory_are_read(stripped: Volume) -> None:
    native = read_image(nib.Nifti1Image(stripped, AFFINE), "flair")
    assert native.name == "flair in memory"
    np.testing.assert_array_equal(native.values, stripped)


@pytest.mark.parametrize(
    ("values", "kind", "word"),
    [
        (np.ones((*SHAPE, 3), np.float32), WrongShape, "4-D"),
        (np.ones(SHAPE[:2], np.float32), WrongShape, "three axes"),
        (np.ones(SHAPE[:2], np.float32), WrongShape, "give the whole volume"),
        (np.ones((*SHAPE[:2], 2), np.float32), WrongShape, "at least 3"),
        (np.zeros(SHAPE, np.float32), BadIntensities, "zero in every voxel"),
        (np.full(SHAPE, 7, np.float32), BadIntensities, "7 in every voxel"),
        (np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), WrongShape, "RGB"),
        (np.zeros(SHAPE, np.complex64), WrongShape, "complex64"),
    ],
)
def test_what_is_no_scan_is_refused(
    write: Write, values: np.ndarray[Any, Any], kind: type[ScanError], word: str
) -> None:
    error = refusal(write(values))
    assert type(error) is kind
    assert word in str(error)


@pytest.mark.parametrize("keep", [20, 200, 0.5, 0.98])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_truncated_files_are_unreadable(
    write: Write, stripped: Volume, name: str, keep: float
) -> None:
    path = write(stripped, name)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    assert type(refusal(path)) is UnreadableScan


def test_a_damaged_gzip_stream_is_unreadable(write: Write, stripped: Volume) -> None:
    path = write(stripped)
    content = bytearray(path.read_bytes())
    content[5000:5400] = bytes(400)
    path.write_bytes(content)
    assert type(refusal(path)) is UnreadableScan


@pytest.mark.parametrize("content", [b"", b"hello, this is a letter", b"\x1f\x8b" + b"x" * 50])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.txt", "a.mgz"])
def test_what_is_no_image_is_unreadable(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert type(refusal(path)) is UnreadableScan


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    assert "nothing at that path" in str(refusal(tmp_path / "none.nii.gz"))


def test_a_folder_without_slices_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "without such slices" in str(refusal(tmp_path / "empty"))


def test_a_file_that_may_not_be_read_says_so(
    write: Write, stripped: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(stripped)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    assert "expected permission to read it" in str(refusal(path))


def test_dicom_is_sent_to_dcm2niix(tmp_path: Path) -> None:
    for name, content in (("a.dcm", b"x" * 200), ("IM0001", bytes(128) + b"DICM" + bytes(60))):
        (tmp_path / name).write_bytes(content)
        assert "dcm2niix" in refusal(tmp_path / name).next_step


def test_a_packed_file_with_a_long_extension_is_read(tmp_path: Path, stripped: Volume) -> None:
    image = nib.Nifti1Image(stripped, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", bytes(3 << 20)))
    nib.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz")[0], stripped)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("side", [900, 30000])
def test_a_header_that_claims_too_much_asks_for_no_memory(
    tmp_path: Path, packed: bool, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = bytearray(nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), AFFINE).to_bytes())
    struct.pack_into("<3h", header, 42, side, side, side)
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    path.write_bytes(gzip.compress(bytes(header)) if packed else bytes(header))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("voxels were asked for")

    monkeypatch.setattr(nib.Nifti1Image, "get_fdata", never)
    assert isinstance(refusal(path), UnreadableScan | WrongShape)


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_an_affine_that_cannot_be_inverted_is_refused(
    tmp_path: Path, stripped: Volume, value: float
) -> None:
    image = nib.Nifti1Image(stripped, AFFINE)
    image.header["srow_x"] = [value] * 4
    image.header["sform_code"] = 1
    data = bytearray(image.to_bytes())
    struct.pack_into("<4f", data, 280, *[value] * 4)
    (tmp_path / "a.nii").write_bytes(data)
    assert "affine" in str(refusal(tmp_path / "a.nii"))
