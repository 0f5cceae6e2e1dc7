"""A refusal as a picture in the study of its source."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomri.datasets import Refusal, write_refusal_picture
from anomri.errors import UnreadableScan

pydicom = pytest.importorskip("pydicom", reason="the extra anomri[dicom] is not here")
pytest.importorskip("highdicom", reason="the extra anomri[dicom] is not here")

MakeSeries = Callable[..., list[Path]]
REFUSAL = Refusal("expected the contrasts flair, got t1", "send it", "Research use only.", "key")


def written(source: Path, path: Path, **changes: object) -> Any:
    facts = {name: getattr(REFUSAL, name) for name in REFUSAL.__slots__}
    write_refusal_picture(Refusal(**{**facts, **changes}), source, path)
    return pydicom.dcmread(path)


def test_a_refusal_is_a_picture_in_the_study_of_its_source(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    # Neither place nor contrast is needed: studies are refused for want of these.
    source = make_series(tmp_path, np.ones((3, 4, 5)), PatientName="Zyxwvut^Quentin")[0]
    header = pydicom.dcmread(source)
    del header.ImagePositionPatient, header.PatientBirthDate
    header.save_as(source)
    capture = written(source, tmp_path / "refusal.dcm")
    assert capture.StudyInstanceUID == header.StudyInstanceUID
    assert capture.PatientName == header.PatientName
    assert (capture.Modality, capture.Manufacturer) == ("OT", "anomri")
    assert capture.BurnedInAnnotation == "NO"
    pixels = capture.pixel_array.reshape(-1, 3)
    assert (pixels == 255).all(axis=1).sum() > 300  # the reason
    assert (pixels == (255, 179, 71)).all(axis=1).sum() > 100  # heading and notice
    same = written(source, tmp_path / "again.dcm")
    assert same.SOPInstanceUID == capture.SOPInstanceUID
    other = written(source, tmp_path / "other.dcm", identity="another")
    assert other.SOPInstanceUID != capture.SOPInstanceUID
    if program := shutil.which("dciodvfy"):
        checked = subprocess.run([program, tmp_path / "other.dcm"], capture_output=True, text=True)
        assert not [line for line in checked.stderr.splitlines() if line.startswith("Error")]


def test_it_shows_what_a_quality_check_objected_to(tmp_path: Path, make_series: MakeSeries) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (90, 30), "#00ff00").save(stream, "png")
    source = make_series(tmp_path, np.ones((3, 4, 5)))[0]
    long = "a reason of many words " * 200
    capture = written(source, tmp_path / "a.dcm", picture=stream.getvalue(), reason=long)
    green = (capture.pixel_array == (0, 255, 0)).all(axis=2)
    assert green.sum() == 840 * 280
    assert capture.Rows < 1500


def test_an_image_without_a_study_is_named(tmp_path: Path, make_series: MakeSeries) -> None:
    source = make_series(tmp_path, np.ones((3, 4, 5)))[0]
    header = pydicom.dcmread(source)
    del header.StudyInstanceUID
    header.save_as(source)
    with pytest.raises(UnreadableScan, match="without StudyInstanceUID"):
        written(source, tmp_path / "a.dcm")
    assert not (tmp_path / "a.dcm").exists()
