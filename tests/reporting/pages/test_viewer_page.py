from __future__ import annotations

import base64
import gzip
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri.errors import BadIntensities
from anomri.reporting import Preview, write_detection, write_view
from anomri.scan import Detection, ScanFiles

Detect = Callable[..., Detection]


def saved(folder: Path, name: str, array: np.ndarray, spacing: float = 2.0) -> Path:
    image = nib.Nifti1Image(array, np.diag([spacing, spacing, spacing, 1]))
    image.header["descrip"] = b"PATIENT NAME"
    nib.save(image, folder / name)
    return folder / name


@pytest.fixture
def files(detect: Detect, tmp_path: Path) -> ScanFiles:
    """The ball as files, with a second contrast and a third on another grid."""
    scan = detect().anomaly.scan
    assert scan.truth is not None
    contrasts = {
        "flair": saved(tmp_path, "flair.nii.gz", scan.image[0]),
        "t1": saved(tmp_path, "t1.nii.gz", -scan.image[0]),
        "t2": saved(tmp_path, "t2.nii.gz", scan.image[0][:20], spacing=3.0),
    }
    return ScanFiles(
        subject="<b>ball</b>",
        contrasts={name: contrasts[name] for name in ("flair", "t1", "t2")},
        layout="folder",
        truth=saved(tmp_path, "truth.nii.gz", scan.truth),
    )


def preview(page: Path) -> Preview:
    (text,) = re.findall(
        r'<script type="application/json"[^>]*>(.*?)</script>', page.read_text("utf-8"), re.DOTALL
    )
    return Preview.model_validate_json(text)


def voxels(shown: Preview, kind: str) -> np.ndarray:
    layer = next(layer for layer in shown.layers if layer.kind == kind)
    return np.frombuffer(gzip.decompress(base64.b64decode(layer.voxels)), np.uint8)


def test_a_scan_alone_is_shown(
    files: ScanFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        page = write_view(files, tmp_path / "view.html")
    shown = preview(page)
    assert [layer.name for layer in shown.layers] == ["FLAIR", "T1", "Expert"]
    assert "t2.nii.gz lies on another grid" in caplog.text
    text = page.read_text("utf-8")
    assert "<b>ball" not in text
    assert "PATIENT" not in text
    assert str(tmp_path) not in text


def test_a_result_is_shown_on_the_grid_of_the_scan(
    files: ScanFiles, detect: Detect, tmp_path: Path
) -> None:
    named = replace(files, subject="ball_01")
    found = detect()
    write_detection(found, tmp_path / "out")
    shown = preview(write_view(named, tmp_path / "view.html", result=tmp_path / "out"))
    assert (shown.cut, shown.threshold) == (85, 2.0)
    assert voxels(shown, "mask").sum() == found.mask.sum()
    assert (voxels(shown, "anomaly") > shown.cut).sum() == (found.anomaly.values[0] > 2).sum()
    assert shown.mask_ml == pytest.approx(found.mask.sum() * shown.voxel_ml)


def test_an_empty_scan_is_refused(tmp_path: Path) -> None:
    empty = saved(tmp_path, "flair.nii.gz", np.zeros((8, 9, 10), np.float32))
    files = ScanFiles(subject="empty", contrasts={"flair": empty}, layout="folder")
    with pytest.raises(BadIntensities, match="zero in every voxel"):
        write_view(files, tmp_path / "view.html")


def test_two_values_are_enough_for_a_window(tmp_path: Path) -> None:
    volume = np.zeros((8, 9, 10), np.float32)
    volume[2:5, 2:5, 2:5] = 7
    path = saved(tmp_path, "flair.nii.gz", volume)
    files = ScanFiles(subject="two", contrasts={"flair": path}, layout="folder")
    layer = preview(write_view(files, tmp_path / "view.html")).layers[0]
    assert layer.high > layer.low
