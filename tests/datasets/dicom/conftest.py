"""Multi-frame files made from arrays, and a tilted grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

MakeSeries = Callable[..., list[Path]]


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
