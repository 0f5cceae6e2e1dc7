"""Headers without an orientation, or with implausible values."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import anomri
from anomri.errors import ScanError, UnreadableScan, UsageError
from anomri.preprocessing import check_orientation, read_volume
from anomri.preprocessing.reading.scan_images import read_image
from anomri.preprocessing.reading.segmentations import read_segmentation
from anomri.scan import Volume

AFFINE = np.array([[-2.0, 0, 0, 60], [0, -2, 0, 66], [0, 0, 2, -50], [0, 0, 0, 1]])


def unoriented(values: Volume) -> nib.Nifti1Image:
    image = nib.Nifti1Image(values, AFFINE)
    image.set_sform(AFFINE, 0)
    image.set_qform(AFFINE, 0)
    return image


def test_a_header_without_orientation_is_refused(tmp_path: Path, stripped: Volume) -> None:
    nib.save(unoriented(stripped), tmp_path / "a.nii")
    with pytest.raises(UnreadableScan, match="codes of 0") as caught:
        read_volume(tmp_path / "a.nii")
    assert "--orientation" in caught.value.next_step
    nib.save(nib.Nifti1Image(stripped, None), tmp_path / "b.nii")
    with pytest.raises(UnreadableScan, match="codes of 0"):
        read_volume(tmp_path / "b.nii")


@pytest.mark.parametrize("code", ["RAS", "LPS", "las", "PSR", "AIL"])
def test_the_user_states_the_orientation(tmp_path: Path, stripped: Volume, code: str) -> None:
    nib.save(unoriented(stripped), tmp_path / "a.nii")
    native = read_image(tmp_path / "a.nii", orientation=code)
    assert "".join(nib.aff2axcodes(native.grid.affine)) == code.upper()
    assert native.grid.spacing == (2, 2, 2)
    assert f"{code.upper()}, as given" in native.notes[0].text
    np.testing.assert_array_equal(native.values, stripped)
    mask = read_segmentation(tmp_path / "a.nii", orientation=code)
    np.testing.assert_array_equal(mask.grid.affine, native.grid.affine)


def test_an_orientation_in_the_header_is_used(tmp_path: Path, stripped: Volume) -> None:
    nib.save(nib.Nifti1Image(stripped, AFFINE), tmp_path / "a.nii")
    native = read_image(tmp_path / "a.nii", orientation="RAS")
    np.testing.assert_allclose(native.grid.affine, AFFINE)
    assert not native.notes


@pytest.mark.parametrize("code", ["R", "RA", "RRR", "RLS", "XYZ", "RAS+", "R A S"])
def test_letters_that_are_not_an_orientation_are_refused(code: str) -> None:
    with pytest.raises(UsageError, match="such as RAS or LPS"):
        check_orientation(code)


def test_the_right_orientation_gives_the_result_of_a_complete_header(stripped: Volume) -> None:
    values = stripped.copy()
    values[30:36, 20:26, 24:30] += 400
    model = anomri.load("intensity", device="cpu")
    known = model.detect({"flair": nib.Nifti1Image(values, AFFINE)})
    with pytest.raises(ScanError, match="orientation of the head"):
        model.detect({"flair": unoriented(values)})
    oriented = model.detect({"flair": unoriented(values)}, orientation="LPS")
    assert np.asarray(known.mask.dataobj).any()
    np.testing.assert_array_equal(np.asarray(oriented.mask.dataobj), np.asarray(known.mask.dataobj))
    assert any("LPS, as given" in note.text for note in oriented.detection.anomaly.scan.notes)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_voxels_that_begin_within_the_header_are_read_behind_it(
    tmp_path: Path, stripped: Volume, packed: bool, kind: type[nib.Nifti1Image], order: str
) -> None:
    image = kind(stripped.astype(f"{order}f4"), AFFINE, kind.header_class(endianness=order))
    raw = bytearray(image.to_bytes())
    where, form = (168, "q") if kind is nib.Nifti2Image else (108, "f")
    struct.pack_into(order + form, raw, where, 0)
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    path.write_bytes(gzip.compress(raw) if packed else raw)
    native = read_image(path)
    np.testing.assert_array_equal(native.values, stripped)
    assert "vox_offset is 0" in native.notes[0].text
    raw[-8:] = b""
    path.write_bytes(gzip.compress(raw) if packed else raw)
    with pytest.raises(UnreadableScan):
        read_image(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_extension_before_voxels_without_an_offset_is_named(
    tmp_path: Path, packed: bool, kind: type[nib.Nifti1Image], order: str
) -> None:
    image = kind(np.ones((4, 5, 6), np.int16), AFFINE, kind.header_class(endianness=order))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"words"))
    raw = bytearray(image.to_bytes())
    where, form = (168, "q") if kind is nib.Nifti2Image else (108, "f")
    struct.pack_into(order + form, raw, where, 0)
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    path.write_bytes(gzip.compress(raw) if packed else raw)
    with pytest.raises(UnreadableScan, match="vox_offset 0 in a file with a header extension"):
        read_image(path)


def test_an_extension_of_an_impossible_size_is_a_damaged_header(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.ones((4, 5, 6), np.int16), AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"words"))
    raw = bytearray(image.to_bytes())
    struct.pack_into("<i", raw, 352, -16)
    (tmp_path / "a.nii").write_bytes(raw)
    with pytest.raises(UnreadableScan, match="damaged header or header extension"):
        read_image(tmp_path / "a.nii")


def test_missing_voxels_are_named_as_such(tmp_path: Path, stripped: Volume) -> None:
    content = nib.Nifti1Image(stripped, AFFINE).to_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content[: len(content) // 2]))
    with pytest.raises(UnreadableScan, match="fewer voxels than its header states"):
        read_image(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("size", [0.0, -1e38, 1e38, 3e38, 1e-38, 1e-42, np.nan, np.inf])
@pytest.mark.parametrize("form", ["sform", "qform", "origin"])
def test_implausible_sizes_are_refused_clearly(
    tmp_path: Path, stripped: Volume, size: float, form: str
) -> None:
    image = nib.Nifti1Image(stripped, AFFINE)
    image.set_qform(AFFINE, 1)
    raw = bytearray(image.to_bytes())
    if form == "qform":
        struct.pack_into("<h", raw, 254, 0)
        struct.pack_into("<3f", raw, 80, *[size] * 3)
    else:
        struct.pack_into("<f", raw, 280 if form == "sform" else 292, size)
    (tmp_path / "a.nii").write_bytes(raw)
    unknown = form == "qform" and size == 0
    if unknown or (form == "origin" and abs(size) < 1):
        assert read_image(tmp_path / "a.nii").spacing_known is not unknown
        return
    with pytest.raises(UnreadableScan):
        read_image(tmp_path / "a.nii")
