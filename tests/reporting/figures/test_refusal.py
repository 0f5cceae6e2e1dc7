from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomri.errors import Evidence, QualityRefused
from anomri.reporting import refusals_shown
from anomri.reporting.figures.refusal import REFUSED


def refused(evidence: Evidence | None) -> QualityRefused:
    return QualityRefused(
        "head.nii.gz", expected="a brain", got="12 ml", next_step="give a mask", evidence=evidence
    )


def test_a_refusal_is_shown_and_its_picture_named(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).random((30, 40, 20), np.float32)
    mask = np.zeros(volume.shape, bool)
    mask[10:20, 10:20, 5:15] = True
    error = refused(Evidence(volume, mask, (2.0, 2.0, 4.0)))
    with pytest.raises(QualityRefused), refusals_shown(tmp_path, "sub-01"):
        raise error
    path = tmp_path / "sub-01" / "anat" / f"sub-01_{REFUSED}"
    with Image.open(path) as picture:
        shown = np.asarray(picture.convert("RGB"))
    assert shown.max() > 100
    assert ((shown[..., 0] > 200) & (shown[..., 2] < 90)).any()  # the outline's colour
    assert error.next_step == f"look at {path.name}, then give a mask"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_without_evidence_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(QualityRefused), refusals_shown(tmp_path, "sub-01"):
        raise refused(None)
    assert list(tmp_path.iterdir()) == []
