"""Conversion of DICOM slices to NIfTI, and of masks to DICOM segmentations."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from anomri.datasets import converted, find, write_segmentation
from anomri.datasets.dicom.segmentation import MAY_BE_EMPTY, slice_affine
from anomri.errors import GridMismatch, MissingPiece, UnreadableScan

pytest.importorskip("highdicom", reason="the extra anomri[dicom] is not here")
pytest.importorskip("dcm2niix", reason="the extra anomri[dicom] is not here")

MakeSeries = Callable[..., list[Path]]
AXES = [(0, 1, 2), (1, 0, 2), (2, 1, 0)]


def volume() -> NDArray[Any]:
    """No two voxels alike, so that a wrong axis or direction shows."""
    return (np.arange(10 * 12 * 14).reshape(10, 12, 14) * 7 + 100).astype(np.uint16)


@pytest.mark.parametrize("axes", AXES)
def test_a_mask_comes_back_in_the_same_voxels_and_places(
    tmp_path: Path, make_series: MakeSeries, oblique: NDArray[np.float64], axes: tuple[int, ...]
) -> None:
    import highdicom
    import pydicom

    turned = oblique.copy()
    turned[:3, :3] = (oblique[:3, :3] / np.linalg.norm(oblique[:3, :3], axis=0))[:, axes]
    turned[:3, 0] *= 3.0 * np.sign(np.linalg.det(turned[:3, :3]))  # right-handed, 3 mm apart
    paths = make_series(tmp_path / "in", volume(), affine=turned, SeriesDescription="flair")
    wanted = (volume() > 4000) & (volume() % 3 == 0)
    (files,) = find(tmp_path / "in").scans
    with converted(files) as images:
        image: Any = nib.load(images.contrasts["flair"])
        values = np.asarray(image.dataobj)
        lesions = (values > 4000) & (values % 3 == 0)
        mask = nib.Nifti1Image(lesions.astype(np.uint8), image.affine)
        temporary = images.contrasts["flair"]
    assert not temporary.parent.exists()
    out = tmp_path / "seg.dcm"
    write_segmentation(mask, paths[::-1], out, identity="key")
    seg = highdicom.seg.segread(out)
    uids = [str(pydicom.dcmread(path).SOPInstanceUID) for path in paths]
    held = seg.get_pixels_by_source_instance(
        uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(held[..., 0] > 0, wanted)
    geometry = seg.get_volume_geometry()
    assert geometry is not None
    points = geometry.map_indices_to_reference(
        np.argwhere(seg.get_volume(combine_segments=True).array)
    )
    truth = (np.c_[np.argwhere(wanted), np.ones(wanted.sum())] @ turned.T)[:, :3]
    order = [np.lexsort(np.round(each, 3).T) for each in (points, truth)]
    np.testing.assert_allclose(points[order[0]], truth[order[1]], atol=2e-3)
    assert (seg.PatientID, seg.Modality) == ("ID-77431", "SEG")
    assert str(seg.StudyInstanceUID) == str(pydicom.dcmread(paths[0]).StudyInstanceUID)


def test_a_slice_lies_where_the_standard_says(tmp_path: Path, make_series: MakeSeries) -> None:
    import pydicom

    path = make_series(tmp_path, np.ones((1, 4, 5)), affine=np.diag([4.0, 2.0, 3.0, 1.0]))[0]
    data = pydicom.dcmread(path)
    # The axes of the array are slice, row, column: columns run along z here, rows along y.
    point = slice_affine(data) @ [2, 1, 0, 1]
    np.testing.assert_allclose(point, [0, 2 * 2.0, 1 * 3.0, 1])


def test_an_empty_mask_is_written_too(tmp_path: Path, make_series: MakeSeries) -> None:
    import highdicom

    paths = make_series(tmp_path / "in", volume(), SeriesDescription="flair")
    (files,) = find(tmp_path / "in").scans
    with converted(files) as images:
        image: Any = nib.load(images.contrasts["flair"])
        mask = nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine)
    write_segmentation(mask, paths, tmp_path / "seg.dcm", identity="key")
    assert not highdicom.seg.segread(tmp_path / "seg.dcm").pixel_array.any()


def test_headers_without_the_patients_tags_are_answered(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    import highdicom
    import pydicom

    paths = make_series(tmp_path / "in", volume())
    for path in paths:
        data = pydicom.dcmread(path)
        for tag in (*MAY_BE_EMPTY, "SliceThickness"):
            del data[tag]
        data.save_as(path)
    mask = nib.Nifti1Image(np.ones(volume().shape, np.uint8), np.diag([-4.0, -2, 2, 1]))
    write_segmentation(mask, paths, tmp_path / "seg.dcm", identity="key")
    assert highdicom.seg.segread(tmp_path / "seg.dcm").number_of_segments == 1


@pytest.mark.parametrize(
    "tags",
    [
        {"FrameOfReferenceUID": None},
        {"SliceThickness": None},
        {"SpecificCharacterSet": ""},
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
    ],
)
def test_unusual_headers_are_answered_with_an_object_that_can_be_read(
    tmp_path: Path, make_series: MakeSeries, tags: dict[str, Any]
) -> None:
    import highdicom

    paths = make_series(tmp_path / "in", volume(), **tags)
    mask = nib.Nifti1Image(np.ones(volume().shape, np.uint8), np.diag([-4.0, -2, 2, 1]))
    write_segmentation(mask, paths, tmp_path / "seg.dcm", identity="key")
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert seg.get_volume(combine_segments=True).array.all()
    assert "太郎" in str(seg.PatientName) or "=" not in str(tags.get("PatientName", ""))


def test_a_missing_number_is_reported(tmp_path: Path, make_series: MakeSeries) -> None:
    paths = make_series(tmp_path / "in", volume(), StudyInstanceUID=None)
    mask = nib.Nifti1Image(np.ones(volume().shape, np.uint8), np.diag([-4.0, -2, 2, 1]))
    with pytest.raises(UnreadableScan, match="headers without StudyInstanceUID"):
        write_segmentation(mask, paths, tmp_path / "seg.dcm", identity="key")


def test_an_object_that_cannot_be_read_back_is_not_kept(
    tmp_path: Path, make_series: MakeSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_series(tmp_path / "in", volume())
    mask = nib.Nifti1Image(np.ones(volume().shape, np.uint8), np.diag([-4.0, -2, 2, 1]))
    monkeypatch.setattr("highdicom.seg.segread", lambda _: 1 / 0)
    with pytest.raises(UnreadableScan, match="no readable object"):
        write_segmentation(mask, paths, tmp_path / "seg.dcm", identity="key")
    assert not (tmp_path / "seg.dcm").exists()


def test_sheared_slices_are_placed_and_segmented(tmp_path: Path, make_series: MakeSeries) -> None:
    sheared = np.diag([4.0, 2.0, 2.0, 1.0])
    sheared[1, 0] = 0.7  # each slice 0.7 mm farther along its rows' direction
    paths = make_series(tmp_path / "in", volume(), SeriesDescription="flair")
    import pydicom

    for number, path in enumerate(paths):
        data = pydicom.dcmread(path)
        data.ImagePositionPatient = [float(v) for v in (sheared @ [number, 0, 0, 1])[:3]]
        data.save_as(path)
    (files,) = find(tmp_path / "in").scans
    with converted(files) as images:
        image: Any = nib.load(images.contrasts["flair"])
        values = np.asarray(image.dataobj)
        assert any("sheared" in note.text for note in images.notes)
    where = (np.argwhere(values == volume()[7, 3, 5])[0].tolist(), sheared @ [7, 3, 5, 1])
    np.testing.assert_allclose(image.affine @ [*where[0], 1], where[1] * [-1, -1, 1, 1], atol=1e-3)
    mask = nib.Nifti1Image((values > 4000).astype(np.uint8), image.affine)
    write_segmentation(mask, paths, tmp_path / "seg.dcm", identity="key")


def test_inverted_values_are_corrected_with_a_note(tmp_path: Path, make_series: MakeSeries) -> None:
    make_series(
        tmp_path / "in",
        volume().max() - volume(),
        SeriesDescription="flair",
        PhotometricInterpretation="MONOCHROME1",
    )
    (files,) = find(tmp_path / "in").scans
    with converted(files) as images:
        image: Any = nib.load(images.contrasts["flair"])
        values = image.get_fdata()
    assert any("MONOCHROME1" in note.text for note in images.notes)
    np.testing.assert_array_equal(np.sort(values, None), np.sort(volume() - 100.0, None))


@pytest.mark.parametrize("odd", ["bare", "deflated", "uids"])
def test_files_that_the_converter_cannot_read_are_rewritten(
    tmp_path: Path, make_series: MakeSeries, odd: str
) -> None:
    import pydicom

    for number, path in enumerate(make_series(tmp_path, volume(), SeriesDescription="flair")):
        data = pydicom.dcmread(path)
        if odd == "uids":
            data.SeriesInstanceUID = f"1.2.3.{number + 1}"
        if odd == "deflated":
            data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        data.save_as(path)
        path.write_bytes(path.read_bytes()[132 if odd == "bare" else 0 :])
    (files,) = find(tmp_path).scans
    with converted(files) as images:
        image: Any = nib.load(images.contrasts["flair"])
        values = image.get_fdata()
    np.testing.assert_array_equal(np.sort(values, None), np.sort(volume(), None))


def test_a_mask_of_another_grid_is_refused(tmp_path: Path, make_series: MakeSeries) -> None:
    paths = make_series(tmp_path, volume(), SeriesDescription="flair")
    mask = nib.Nifti1Image(
        np.ones((5, 5, 5), np.uint8), np.eye(4) + 0.3 * np.eye(4, k=1) * [[1], [0], [0], [0]]
    )
    with pytest.raises(GridMismatch, match="another grid"):
        write_segmentation(mask, paths, tmp_path / "seg.dcm", identity="key")
    assert not (tmp_path / "seg.dcm").exists()


def test_temporary_files_are_removed_after_an_error(
    tmp_path: Path, make_series: MakeSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_series(tmp_path / "in", volume(), SeriesDescription="flair")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (files,) = find(tmp_path / "in").scans
    held = converted(files)
    held.__enter__()
    assert any((tmp_path / "tmp").iterdir())
    assert not held.__exit__(RuntimeError, RuntimeError(), None)
    assert not any((tmp_path / "tmp").iterdir())


def test_without_dcm2niix_the_extra_is_named(
    tmp_path: Path, make_series: MakeSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_series(tmp_path, volume(), SeriesDescription="flair")
    (files,) = find(tmp_path).scans
    monkeypatch.setitem(__import__("sys").modules, "dcm2niix", None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(MissingPiece, match=r"anomri\[dicom\]"), converted(files):
        pass


@pytest.mark.parametrize(("off_mm", "turned"), [(0.02, 0.0), (0.0, 1e-3), (0.02, 1e-3)])
def test_positions_and_directions_that_jitter_are_answered(
    tmp_path: Path, make_series: MakeSeries, off_mm: float, turned: float
) -> None:
    import highdicom
    import pydicom

    rng = np.random.default_rng(0)
    index = np.indices((40, 30, 30))
    affine = np.array([[0, 0, 1.0, -15], [0, 1, 0, -15], [1, 0, 0, -20], [0, 0, 0, 1]])
    inside = np.linalg.norm(index - np.array([[[[20]]], [[[15]]], [[[15]]]]), axis=0) < 12
    paths = make_series(tmp_path / "in", 100.0 * inside, affine=affine, SeriesDescription="flair")
    for path in paths:
        data = pydicom.dcmread(path)
        for tag, size in (("ImagePositionPatient", off_mm), ("ImageOrientationPatient", turned)):
            values = np.array(getattr(data, tag), dtype=float)
            setattr(data, tag, list(values + rng.uniform(-size, size, len(values))))
        data.save_as(path)
    with converted(find(tmp_path / "in").scans[0]) as images:
        image: Any = nib.load(images.contrasts["flair"])
        voxels = (np.asarray(image.dataobj) > 50).astype(np.uint8)
        mask = nib.Nifti1Image(voxels, image.affine)
        write_segmentation(mask, paths, tmp_path / "seg.dcm", identity="x")
    read = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert np.count_nonzero(read.pixel_array) == voxels.sum()


def test_a_damaged_file_of_a_series_is_reported(tmp_path: Path, make_series: MakeSeries) -> None:
    paths = make_series(tmp_path / "in", volume(), SeriesDescription="flair")
    paths[3].write_bytes(b"DICM" * 40)
    mask = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    with pytest.raises(UnreadableScan):
        write_segmentation(mask, paths, tmp_path / "seg.dcm", identity="x")
