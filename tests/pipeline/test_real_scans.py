"""The no-model row on real scans: what `anomri detect` promises from the first day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anomri import pipeline
from anomri.detector import load


@pytest.mark.real
def test_intensity_finds_real_gliomas(real_data: Path, tmp_path: Path) -> None:
    """Three training cases; their mean of 0.89 was measured when the row was built."""
    chosen = frozenset({"Brats18_CBICA_AME_1", "Brats18_CBICA_AQP_1", "Brats18_CBICA_AWG_1"})
    found = pipeline.find_scans(real_data / "brats2018", selection=pipeline.Selection(chosen))
    detector = load("intensity", device="cpu")
    assert pipeline.detect(found, detector, tmp_path).exit_code == 0
    scores = [pipeline.measure_case(tmp_path, files)["dice"] for files in found.scans]
    assert np.mean(scores) > 0.85


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "subject", "least"),
    [
        ("wmh", "2516041494", 0.7),
        ("open_ms_data", "patient19", 0.5),
        ("ms3seg_bids", "104899", 0.4),
        ("lgg", "TCGA_DU_5851_19950428", 0.7),
    ],
)
def test_other_data_sets_give_sane_masks(
    real_data: Path, tmp_path: Path, folder: str, subject: str, least: float
) -> None:
    selection = pipeline.Selection(frozenset({subject}))
    found = pipeline.find_scans(real_data / folder, selection=selection)
    detector = load("intensity", device="cpu")
    assert pipeline.detect(found, detector, tmp_path).exit_code == 0
    assert pipeline.measure_case(tmp_path, found.scans[0])["dice"] > least
