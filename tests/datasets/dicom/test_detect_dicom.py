"""`anomri detect` on a DICOM folder; only the DICOM segmentation has identifying tags."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from anomri.cli import app

pytest.importorskip("highdicom", reason="the extra anomri[dicom] is not here")
pytest.importorskip("dcm2niix", reason="the extra anomri[dicom] is not here")

MakeSeries = Callable[..., list[Path]]
SECRETS = (b"Zyxwvut", b"Quentin", b"77431", b"19510317", b"A9")


def test_no_tag_of_the_patient_reaches_another_output(
    tmp_path: Path, make_series: MakeSeries, head: np.ndarray
) -> None:
    import highdicom
    import pydicom

    source = tmp_path / "Zyxwvut Quentin 19510317"
    paths = make_series(source / "ID-77431", head, SeriesDescription="t2 flair")
    make_series(source, head[:3], number=2, SeriesDescription="localizer")
    words = ["detect", str(source), "-o", str(tmp_path / "out"), "--model", "intensity"]
    listed = CliRunner().invoke(app, [*words, "--dry-run"], catch_exceptions=False)
    assert "localiser" in listed.output
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (segmentation,) = (tmp_path / "out").rglob("*_seg.dcm")
    for path in (tmp_path / "out").rglob("*"):
        name = path.relative_to(tmp_path).as_posix().encode()
        assert not any(secret in name for secret in SECRETS)
        if path.is_file() and path != segmentation:
            content = path.read_bytes()
            zipped = path.name.endswith(".nii.gz")
            plain = gzip.decompress(content) if zipped else b""
            found = [secret for secret in SECRETS[:-1] if secret in content + plain]
            assert not found, (path.name, found)
    seg = highdicom.seg.segread(segmentation)
    sources = {str(pydicom.dcmread(path).SOPInstanceUID) for path in paths}
    assert {str(uids[2]) for uids in seg.get_source_image_uids()} <= sources
    # The ball comes back where it was put: at (20 + 80, 10 + 80) mm in rows and columns.
    volume = seg.get_volume(combine_segments=True)
    points = volume.map_indices_to_reference(np.argwhere(volume.array))
    np.testing.assert_allclose(points.mean(axis=0), [80, 100, 90], atol=2.0)
    again = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "1 unchanged" in again.output


def test_one_file_with_many_frames_is_read_and_answered(
    tmp_path: Path, make_enhanced: MakeSeries, head: np.ndarray
) -> None:
    import highdicom

    make_enhanced(tmp_path / "in", head, SeriesDescription="t2 flair")
    words = ["detect", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model", "intensity"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (segmentation,) = (tmp_path / "out").rglob("*_seg.dcm")
    volume = highdicom.seg.segread(segmentation).get_volume(combine_segments=True)
    points = volume.map_indices_to_reference(np.argwhere(volume.array))
    np.testing.assert_allclose(points.mean(axis=0), [80, 100, 90], atol=2.0)


def test_slices_of_sheared_geometry_cost_the_segmentation_and_not_the_scan(
    tmp_path: Path, make_series: MakeSeries, head: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_series(tmp_path / "in", head, SeriesDescription="t2 flair")
    monkeypatch.setattr("anomri.datasets.dicom.segmentation.TOLERANCE", -1)  # as if on another grid
    monkeypatch.setattr("anomri.datasets.dicom.segmentation._is_orthogonal", lambda _: False)
    words = ["detect", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model", "intensity"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert not list((tmp_path / "out").rglob("*_seg.dcm"))
    (record,) = (tmp_path / "out").rglob("*_label-lesion_mask.json")
    assert "no DICOM SEG" in record.read_text("utf-8")
    assert len(list((tmp_path / "out").rglob("*_label-lesion_mask.nii.gz"))) == 1


def test_a_series_is_viewed_as_it_is_detected(
    tmp_path: Path, make_series: MakeSeries, head: np.ndarray
) -> None:
    make_series(tmp_path / "in", head, SeriesDescription="t2 flair")
    page = tmp_path / "view.html"
    words = ["view", str(tmp_path / "in"), "-o", str(page)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    text = page.read_text("utf-8")
    assert "FLAIR" in text
    assert not any(secret.decode() in text for secret in SECRETS[:-1])
