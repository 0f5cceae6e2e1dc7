"""A data set that was copied is read once, and is known again after that."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anomri import pipeline
from anomri.datasets import find
from anomri.detector import load
from anomri.files import content_digest, derivative


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """One stripped brain of smooth noise, at 4 mm."""
    rng, index = np.random.default_rng(0), np.indices((40, 48, 40))
    radii = np.array([16, 21, 17])[:, None, None, None]
    brain = np.square((index - radii - 2) / radii).sum(0) < 1
    values = np.where(brain, 100 + 200 * gaussian_filter(rng.normal(size=brain.shape), 2), 0)
    image = nib.Nifti1Image(values.astype(np.float32), np.diag([4.0, 4, 4, 1]))
    image.header.set_xyzt_units("mm")
    (tmp_path / "scans" / "a").mkdir(parents=True)
    nib.save(image, tmp_path / "scans" / "a" / "flair.nii.gz")
    return tmp_path / "scans"


def sidecar(out: Path) -> dict[str, Any]:
    path = derivative(out, "sub-a", "label-lesion_mask.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.skipif(os.name == "nt", reason="content is always read there")
def test_a_copied_data_set_is_read_once(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, read = tmp_path / "out", []

    def counted(paths: Any) -> str:
        read.append(paths)
        return content_digest(paths)

    monkeypatch.setattr("anomri.pipeline.detection.content_digest", counted)
    detector = load("intensity", device="cpu")
    assert pipeline.detect(find(scans), detector, out).done == ["sub-a"]
    first = sidecar(out)
    shutil.copytree(scans, tmp_path / "copy" / "scans")
    for number in (1, 2):
        outcome = pipeline.detect(find(tmp_path / "copy" / "scans"), detector, out)
        assert outcome.unchanged == ["sub-a"]
        assert len(read) == 2, number
    second = sidecar(out)
    assert second["Provenance"].pop("stamp") != first["Provenance"].pop("stamp")
    assert second == first
