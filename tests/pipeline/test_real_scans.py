"""The no-model row on real scans: what `anomri detect` promises from the first day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anomri import pipeline
from anomri.detector import load
from anomri.preprocessing.template.template_registration import register_to_template
from anomri.scan import Mask, Scan

ORBITS = (((33, 58, -38), 15), ((27, 45, -38), 9))  # the eye and what lies behind it, MNI mm


@pytest.mark.real
def test_intensity_finds_real_gliomas(real_data: Path, tmp_path: Path) -> None:
    """Two training cases; their mean of 0.89 was measured when the row was built."""
    chosen = frozenset({"Brats18_CBICA_AME_1", "Brats18_CBICA_AQP_1"})
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


def orbits_of(scan: Scan) -> Mask:
    """Return both orbits of a head on its working grid, by the template."""
    placement = register_to_template(scan.image[0], scan.brain, scan.grid, "affine", scan.subject)
    matrix = placement.to_template @ scan.grid.affine
    index = np.moveaxis(np.indices(scan.grid.shape), 0, -1)
    right, anterior, superior = np.moveaxis(index @ matrix[:3, :3].T + matrix[:3, 3], -1, 0)
    orbits = np.zeros(scan.grid.shape, bool)
    for (x, y, z), radius in ORBITS:
        # Both sides at once: the template is symmetric.
        squared = (np.abs(right) - x) ** 2 + (anterior - y) ** 2 + (superior - z) ** 2
        orbits |= squared <= radius**2
    return orbits


@pytest.mark.real
def test_no_finding_lies_in_an_orbit(real_data: Path) -> None:
    """The given mask of this head reaches into the orbits; it is replaced."""
    detector = load("default", device="cpu")
    selection = pipeline.Selection(frozenset({"101627"}))
    (files,) = pipeline.find_scans(real_data / "ms3seg_bids", selection=selection).scans
    assert files.brain is not None
    scan = detector.prepare(files)
    orbits = orbits_of(scan)
    assert orbits.any()
    assert not (orbits & scan.brain).any()
    assert not (orbits & detector.detect_scan(scan).mask).any()
