"""Answers made by the ordinary detection: objects, or a note on what prevents them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anomri.datasets import SiteRules
from anomri.detector import load
from anomri.errors import Evidence, MissingPiece, QualityRefused
from anomri.pipeline import DetectionResponder
from anomri.pipeline.detection import DetectTask
from anomri.pipeline.orthanc_service.journal import Outcome
from anomri.pipeline.orthanc_service.responder import Answer
from anomri.pipeline.orthanc_service.study_folder import StudyFolder

pydicom = pytest.importorskip("pydicom", reason="the extra anomri[dicom] is not here")
pytest.importorskip("highdicom", reason="the extra anomri[dicom] is not here")
pytest.importorskip("dcm2niix", reason="the extra anomri[dicom] is not here")

MakeSeries = Callable[..., list[Path]]
VOLUME = np.ones((10, 12, 14))


def answered(tmp_path: Path, rules: SiteRules | None = None) -> tuple[Answer, list[str]]:
    """Return the answer for the images in a study's folder, and the objects in it."""
    responder = DetectionResponder(load("intensity"), rules or SiteRules(), ("seg", "sc"))
    answer = tmp_path / "answer"
    answer.mkdir()
    made = responder.detect(StudyFolder(tmp_path), answer)
    return made, sorted(path.name.rpartition("_")[2] for path in answer.iterdir())


def test_what_answers_are_written_with_is_asked_for_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingPiece, match=r"highdicom\. Next: `pip install"):
        DetectionResponder(load("intensity"), SiteRules(), ("seg", "sc"))


def test_lesions_become_objects(tmp_path: Path, make_series: MakeSeries, head: np.ndarray) -> None:
    make_series(tmp_path / "images", head, SeriesDescription="t2 flair")
    made, objects = answered(tmp_path)
    assert (made.outcome, made.exit_code) == (Outcome.DONE, 0)
    assert made.summary.startswith("1 lesion")
    assert objects == ["sc.dcm", "seg.dcm"]


def test_a_missing_contrast_is_refused_with_what_there_is(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    make_series(tmp_path / "images", VOLUME, number=3, SeriesDescription="t1 mprage")
    make_series(tmp_path / "images", VOLUME, number=4, SeriesDescription="adc")
    made, objects = answered(tmp_path)
    assert (made.outcome, made.exit_code, objects) == (Outcome.REFUSED, 3, ["sc.dcm"])
    assert "flair missing (series 3: t1; series 4: not used, derived" in made.summary


def test_a_study_without_a_series_to_use_is_refused(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    make_series(tmp_path / "images", VOLUME, SeriesDescription="t2 flair")
    made, objects = answered(tmp_path, SiteRules(otherwise="ignore"))
    assert (made.outcome, objects) == (Outcome.REFUSED, ["sc.dcm"])
    assert "got none (series 1: not used, no rule matches it)" in made.summary


def test_images_of_two_patients_are_refused(tmp_path: Path, make_series: MakeSeries) -> None:
    make_series(tmp_path / "images", VOLUME, number=1, SeriesDescription="t2 flair")
    make_series(tmp_path / "images", VOLUME, number=2, PatientBirthDate="19990101")
    made, objects = answered(tmp_path)
    assert (made.outcome, objects) == (Outcome.REFUSED, ["sc.dcm"])
    assert "one patient, got those of 2" in made.summary


def test_what_a_quality_check_refuses_is_shown(
    tmp_path: Path, make_series: MakeSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        volume = np.ones((8, 8, 8), np.float32)
        raise QualityRefused(
            "a.nii",
            expected="a brain",
            got="none",
            next_step="give a brain mask",
            evidence=Evidence(volume, volume > 0, (1.0, 1.0, 1.0)),
        )

    monkeypatch.setattr(DetectTask, "_prepared", refuse)
    make_series(tmp_path / "images", VOLUME, SeriesDescription="t2 flair")
    made, objects = answered(tmp_path)
    assert (made.outcome, made.exit_code, objects) == (Outcome.REFUSED, 5, ["sc.dcm"])
    assert made.summary == "refused by a quality check: expected a brain, got none"
    (path,) = (tmp_path / "answer").iterdir()
    assert pydicom.dcmread(path).Rows > 400  # with the picture


def test_the_text_of_a_library_s_error_is_not_told(
    tmp_path: Path, make_series: MakeSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("invalid value 'Doe^Jane'")

    monkeypatch.setattr(DetectTask, "_prepared", fail)
    make_series(tmp_path / "images", VOLUME, SeriesDescription="t2 flair")
    made, objects = answered(tmp_path)
    assert (made.summary, objects) == ("refused: unexpected ValueError", ["sc.dcm"])


def test_a_result_that_dicom_cannot_hold_is_told(
    tmp_path: Path, make_series: MakeSeries, head: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_series(tmp_path / "images", head, SeriesDescription="t2 flair")
    monkeypatch.setattr("anomri.datasets.dicom.segmentation.TOLERANCE", -1)
    monkeypatch.setattr("anomri.datasets.dicom.segmentation._is_orthogonal", lambda _: False)
    monkeypatch.setattr(
        "anomri.datasets.dicom.result_objects.secondary_capture", lambda *_, **__: 1 / 0
    )
    responder = DetectionResponder(load("intensity"), SiteRules(), ("seg",))
    (tmp_path / "answer").mkdir()
    made = responder.detect(StudyFolder(tmp_path), tmp_path / "answer")
    assert made.outcome is Outcome.REFUSED
    assert "no DICOM SEG" in made.summary
