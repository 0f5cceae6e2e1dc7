"""DICOM objects of a result, read back by highdicom and checked by dciodvfy."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from anomri.datasets import DICOM_OBJECTS, DicomText, write_dicom_objects

highdicom = pytest.importorskip("highdicom", reason="the extra anomri[dicom] is not here")

MakeSeries = Callable[..., list[Path]]
AFFINE = np.diag([-2.0, -2, 4, 1])  # of the series that make_series writes by default
DCIODVFY = shutil.which("dciodvfy")


@dataclass(frozen=True)
class Lesion:
    number: int
    volume_ml: float
    volume_range_ml: tuple[float, float] | None
    zone: str = ""


LESIONS = [Lesion(1, 0.8, (0.6, 1.1), "periventricular"), Lesion(2, 0.2, None)]


def result_images(affine: NDArray[np.float64] = AFFINE) -> dict[str, Any]:
    """Two lesions, regions in the first and an anomaly map, on (columns, rows, slices)."""
    lesions = np.zeros((14, 12, 10), np.uint8)
    lesions[2:7, 2:6, 2:6], lesions[10:12, 8:10, 7:9] = 1, 2
    regions = np.where(lesions == 1, 2, 0).astype(np.uint8)
    regions[3:5, 3:5, 3:5] = 4
    anomaly = np.arange(lesions.size, dtype=np.float32).reshape(lesions.shape) / 100
    images = {"lesions": lesions, "regions": regions, "anomaly_flair": anomaly}
    return {name: nib.Nifti1Image(array, affine) for name, array in images.items()}


@pytest.fixture
def written(tmp_path: Path, make_series: MakeSeries) -> dict[str, Path]:
    slices = make_series(tmp_path / "in", np.ones((10, 12, 14)))
    text = DicomText("standard deviations", "Research use only.", "key", LESIONS)
    notes = write_dicom_objects(
        result_images(), picture(), text, slices, tmp_path / "sub-a", kinds=DICOM_OBJECTS
    )
    assert notes == ()
    return {path.stem.rpartition("_")[2]: path for path in tmp_path.glob("*.dcm")}


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (300, 200), "#204060").save(stream, "png")
    return stream.getvalue()


def test_each_lesion_and_region_is_a_segment(written: dict[str, Path]) -> None:
    seg = highdicom.seg.segread(written["seg"])
    labels = [str(item.SegmentLabel) for item in seg.SegmentSequence]
    assert labels[:2] == ["Lesion 1", "Lesion 2"]
    assert [label.split()[0] for label in labels[2:]] == ["Peritumoural", "Enhancing"]
    tracked = {str(item.get("TrackingUID", "")) for item in seg.SegmentSequence[:2]}
    assert len(tracked - {""}) == 2
    sizes = [int(seg.get_volume(segment_numbers=[n]).array.sum()) for n in (1, 2, 3, 4)]
    assert sizes == [80, 8, 72, 8]


def test_the_report_measures_the_segments(written: dict[str, Path]) -> None:
    report = highdicom.sr.srread(written["sr"])
    groups = report.content.get_volumetric_roi_measurement_groups()
    seg = highdicom.seg.segread(written["seg"])
    assert [str(group.tracking_uid) for group in groups] == [
        str(item.TrackingUID) for item in seg.SegmentSequence[:2]
    ]
    volumes = [[float(m.value) for m in group.get_measurements()] for group in groups]
    assert volumes == [[0.8, 0.6, 1.1], [0.2]]
    said = [one.value.meaning for one in groups[0].get_qualitative_evaluations()]
    assert "periventricular" in said


@pytest.mark.parametrize("number", [0, 1])
def test_a_report_of_one_lesion_or_none(
    number: int, tmp_path: Path, make_series: MakeSeries
) -> None:
    slices = make_series(tmp_path / "in", np.ones((10, 12, 14)))
    whole = np.asarray(result_images()["lesions"].dataobj)
    image = nib.Nifti1Image((whole == 1).astype(np.uint8) * number, AFFINE)
    images = {"lesions": image, "anomaly_flair": result_images()["anomaly_flair"]}
    text = DicomText("sd", "Research use only.", "key", LESIONS[:number])
    assert not write_dicom_objects(images, picture(), text, slices, tmp_path / "a", kinds=["sr"])
    path = tmp_path / "a_label-lesion_sr.dcm"
    report = highdicom.sr.srread(path).content
    groups = report.get_volumetric_roi_measurement_groups()
    assert [group.get_measurements()[0].value for group in groups] == [0.8][:number]
    if not number:
        (nothing,) = report.get_image_measurement_groups()
        assert nothing.get_measurements()[0].value == 0
    assert_no_errors(path)


def test_the_picture_carries_the_notice(written: dict[str, Path]) -> None:
    import pydicom

    capture = pydicom.dcmread(written["sc"])
    strip = capture.pixel_array[200:]
    assert (strip.reshape(-1, 3) == (255, 179, 71)).all(axis=1).sum() > 50
    assert capture.BurnedInAnnotation == "NO"


def test_the_parametric_map_holds_the_values(written: dict[str, Path]) -> None:
    read = highdicom.imread(written["pm"])
    volume = read.get_volume(apply_real_world_transform=True)
    place = np.array([[2.0 * 3, 2.0 * 2, 4.0 * 1]])  # of the voxel (3, 2, 1)
    index = np.rint(volume.map_reference_to_indices(place)[0]).astype(int)
    value = np.asarray(result_images()["anomaly_flair"].dataobj)[3, 2, 1]
    assert volume.array[tuple(index)] == pytest.approx(value)


def test_a_corrected_grid_gets_objects_of_its_own(tmp_path: Path, make_series: MakeSeries) -> None:
    slices = make_series(tmp_path / "in", np.ones((10, 12, 14)))
    finer = AFFINE @ np.diag([1.0, 1.0, 0.5, 1.0])
    text = DicomText("sd", "Research use only.", "key", LESIONS)
    notes = write_dicom_objects(
        result_images(finer), picture(), text, slices, tmp_path / "a", kinds=DICOM_OBJECTS
    )
    assert notes == ()
    seg = highdicom.seg.segread(tmp_path / "a_label-lesion_seg.dcm")
    volume = seg.get_volume(segment_numbers=[2], combine_segments=True)
    points = volume.map_indices_to_reference(np.argwhere(volume.array)).mean(axis=0)
    np.testing.assert_allclose(points, [2 * 10.5, 2 * 8.5, 2 * 7.5], atol=1e-3)


@pytest.mark.skipif(DCIODVFY is None, reason="dciodvfy is not here: install dicom3tools")
def test_dciodvfy_finds_no_error(written: dict[str, Path]) -> None:
    for path in written.values():
        assert_no_errors(path)


def assert_no_errors(path: Path) -> None:
    """Check a file by dciodvfy, where that is installed."""
    if DCIODVFY is not None:
        checked = subprocess.run([DCIODVFY, path], capture_output=True, text=True)
        errors = [line for line in checked.stderr.splitlines() if line.startswith("Error")]
        assert errors == [], path.name
