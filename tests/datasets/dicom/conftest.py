"""DICOM series made from arrays, with identifying tags that must not be kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

SECRETS = {
    "PatientName": "Zyxwvut^Quentin",
    "PatientID": "ID-77431",
    "PatientBirthDate": "19510317",
}
ROOT = "1.2.826.0.1.3680043.10.999"
MakeSeries = Callable[..., list[Path]]


@pytest.fixture
def make_series() -> MakeSeries:
    """Return a function that writes an MR series and returns its paths."""
    pydicom = pytest.importorskip("pydicom", reason="the extra anomri[dicom] is not here")

    def make(
        folder: Path,
        volume: NDArray[Any],
        *,
        affine: NDArray[np.float64] | None = None,
        number: int = 1,
        study: int = 1,
        **tags: Any,
    ) -> list[Path]:
        """Write (slices, rows, columns); ``affine`` leads (slice, row, column) to LPS mm."""
        affine = np.diag([4.0, 2.0, 2.0, 1.0]) if affine is None else affine
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for index, pixels in enumerate(volume.astype(np.uint16)):
            data = pydicom.Dataset()
            data.file_meta = pydicom.dataset.FileMetaDataset()
            data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
            data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
            data.SOPInstanceUID = f"{ROOT}.{study}.{number}.{index + 1}"
            data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
            data.StudyInstanceUID, data.SeriesInstanceUID = (
                f"{ROOT}.{study}",
                f"{ROOT}.{study}.{number}",
            )
            data.FrameOfReferenceUID = f"{ROOT}.{study}.99"
            for name, value in {**SECRETS, "PatientSex": "O", "AccessionNumber": "A9"}.items():
                setattr(data, name, value)
            data.Modality, data.Manufacturer, data.StudyID = "MR", "SIEMENS", "1"
            data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20240102"
            data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "101112"
            data.ReferringPhysicianName = ""
            data.SeriesNumber, data.InstanceNumber = number, index + 1
            data.AcquisitionNumber = 1
            data.ImageType = ["ORIGINAL", "PRIMARY", "M"]
            data.ScanningSequence, data.SequenceVariant, data.ScanOptions = "SE", "NONE", ""
            data.MRAcquisitionType, data.MagneticFieldStrength = "2D", 3
            data.EchoTime, data.RepetitionTime, data.PatientPosition = 100, 9000, "HFS"
            data.Rows, data.Columns = pixels.shape
            data.PixelSpacing = [float(steps[1]), float(steps[2])]
            data.SliceThickness = data.SpacingBetweenSlices = float(steps[0])
            data.ImageOrientationPatient = [
                *(float(v) for v in affine[:3, 2] / steps[2]),
                *(float(v) for v in affine[:3, 1] / steps[1]),
            ]
            place = affine @ [index, 0, 0, 1]
            data.ImagePositionPatient = [float(value) for value in place[:3]]
            data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
            data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
            data.PixelRepresentation = 0
            data.PixelData = pixels.tobytes()
            for name, value in tags.items():
                setattr(data, name, value)
            path = folder / f"{number:03d}_{index:04d}.dcm"
            data.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths

    return make


@pytest.fixture
def make_enhanced(make_series: MakeSeries) -> MakeSeries:
    """Return a function that writes a multi-frame file (Enhanced MR) and returns its path."""

    def make(folder: Path, volume: NDArray[Any], *, number: int = 1, **tags: Any) -> list[Path]:
        """Write (slices, rows, columns) as frames; arguments as for ``make_series``."""
        import pydicom

        singles = make_series(folder / "single", volume, number=number, **tags)
        data = pydicom.dcmread(singles[0])
        planes = [pydicom.dcmread(path) for path in singles]
        for path in singles:
            path.unlink()
        (folder / "single").rmdir()
        data.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedMRImageStorage
        data.SOPClassUID = pydicom.uid.EnhancedMRImageStorage
        data.NumberOfFrames = len(planes)
        data.PixelData = b"".join(plane.PixelData for plane in planes)
        data.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
        timing, echo = pydicom.Dataset(), pydicom.Dataset()
        timing.RepetitionTime, echo.EffectiveEchoTime = data.RepetitionTime, data.EchoTime
        shared = pydicom.Dataset()
        shared.MRTimingAndRelatedParametersSequence = [timing]
        shared.MREchoSequence = [echo]
        measures, orientation = pydicom.Dataset(), pydicom.Dataset()
        for name in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"):
            setattr(measures, name, data[name].value)
        orientation.ImageOrientationPatient = data.ImageOrientationPatient
        shared.PixelMeasuresSequence = [measures]
        shared.PlaneOrientationSequence = [orientation]
        data.SharedFunctionalGroupsSequence = [shared]
        data.PerFrameFunctionalGroupsSequence = [
            _frame(plane, index) for index, plane in enumerate(planes)
        ]
        for name in (
            *("PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "EchoTime"),
            *("ImagePositionPatient", "ImageOrientationPatient", "RepetitionTime"),
        ):
            delattr(data, name)
        path = folder / f"enhanced{number}.dcm"
        data.save_as(path, enforce_file_format=True)
        return [path]

    return make


def _frame(plane: Any, index: int) -> Any:
    import pydicom

    position, content, group = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    position.ImagePositionPatient = plane.ImagePositionPatient
    content.StackID, content.InStackPositionNumber = "1", index + 1
    content.DimensionIndexValues = [1, index + 1]
    group.PlanePositionSequence, group.FrameContentSequence = [position], [content]
    return group


@pytest.fixture
def oblique() -> NDArray[np.float64]:
    """(slice, row, column) to LPS mm: tilted about two axes, anisotropic, shifted."""
    a, b = np.deg2rad([17.0, -11.0])
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    columns, rows, slices = (turn @ tilt @ np.eye(3)).T
    affine = np.eye(4)
    affine[:3, :3] = np.stack([slices * 5.0, rows * 1.5, columns * 1.25], axis=1)
    affine[:3, 3] = [-31.0, -44.0, 12.0]
    return affine
