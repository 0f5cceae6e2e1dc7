"""What several rooms' tests share: small synthetic scans and the way to the real ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anomri.scan import AnomalyMap, Detection, Grid, Scan, Threshold

SECRETS = {
    "PatientName": "Zyxwvut^Quentin",
    "PatientID": "ID-77431",
    "PatientBirthDate": "19510317",
}
ROOT = "1.2.826.0.1.3680043.10.999"
MakeSeries = Callable[..., list[Path]]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real scans, or skip with a clear word."""
    folder = os.environ.get("ANOMRI_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real scans here: set ANOMRI_DATA to their folder")
    return Path(folder)


Shape = tuple[int, int, int]
Detect = Callable[[Scan], Detection]


@pytest.fixture
def ball_scan() -> Scan:
    """A round brain of 20 voxels' radius at 2 mm with a bright ball lesion in it."""
    return _ball_scan((48, 52, 44), spacing=2.0, radius=20, lesion=(30, 26, 22), lesion_radius=5)


@pytest.fixture(scope="session")
def small_ball_scan() -> Scan:
    """The same in few voxels: a brain of 10 voxels' radius at 4 mm."""
    return _ball_scan((26, 26, 26), spacing=4.0, radius=10, lesion=(16, 13, 13), lesion_radius=3)


def _ball_scan(
    shape: Shape, *, spacing: float, radius: float, lesion: Shape, lesion_radius: float
) -> Scan:
    """Return a round brain in the middle with a bright ball in it; sizes in voxels."""
    index = np.indices(shape).astype(np.float32)

    def away(centre: Shape) -> NDArray[np.float32]:
        distance: NDArray[np.float32] = np.linalg.norm(
            index - np.array(centre)[:, None, None, None], axis=0
        )
        return distance

    middle = (shape[0] // 2, shape[1] // 2, shape[2] // 2)
    brain, bright = away(middle) < radius, away(lesion) < lesion_radius
    rng = np.random.default_rng(0)
    image = np.where(brain, rng.normal(0, 0.2, brain.shape) + 3 * bright, 0).astype(np.float32)
    grid = Grid(shape=shape, affine=np.diag([spacing] * 3 + [1.0]))
    return Scan(
        subject="ball_01",
        label="sub-ball01",
        image=image[None],
        contrasts=("flair",),
        brain=brain,
        grid=grid,
        native=grid,
        truth=np.where(bright & brain, 2, 0).astype(np.uint8),
    )


@pytest.fixture(scope="session")
def detect_bright() -> Detect:
    """Return a function that marks what is above 2 in the first contrast of a scan."""

    def detect(scan: Scan) -> Detection:
        values = scan.image.clip(0)
        return Detection(
            anomaly=AnomalyMap(
                scan=scan, values=values, reconstruction=0 * values, score="residual"
            ),
            mask=values[0] > 2,
            threshold=Threshold(value=2.0, rule="fixed"),
            slice_scores=np.ones(scan.grid.shape[2]),
            scan_score=1.0,
            findings=(),
        )

    return detect


@pytest.fixture
def make_series() -> MakeSeries:
    """Return a function that writes an MR series and returns its paths.

    It has identifying tags that must not be kept.
    """
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
def head() -> NDArray[np.float64]:
    """A round stripped brain of noise with a bright ball; (slice, row, column), 4 x 2 x 2 mm."""
    index = np.indices((40, 80, 80)) * np.array([4, 2, 2])[:, None, None, None]
    centre = np.array([80, 80, 80])[:, None, None, None]
    brain = np.linalg.norm(index - centre, axis=0) < 62
    ball = np.linalg.norm(index - centre - np.array([0, 20, 10])[:, None, None, None], axis=0) < 12
    noise = np.random.default_rng(0).normal(300, 20, brain.shape)
    return np.where(brain, noise + 400 * ball, 0)
