"""The threshold that one half of the test scans chooses for the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from anomri.datasets import find
from anomri.detector import load
from anomri.errors import UsageError
from anomri.experiments.reproduction import Work
from anomri.experiments.reproduction.measurement import fitted_on
from anomri.synthesis import make_phantoms


def test_a_half_without_any_lesion_cannot_choose_a_threshold(tmp_path: Path) -> None:
    cohort = make_phantoms(tmp_path / "cohort", healthy=1, gliomas=0, lesions=0, spacing_mm=6.0)
    detector = load("intensity", device="cpu")
    with pytest.raises(UsageError, match="expected a scan with a labelled lesion, got none"):
        fitted_on(detector, find(cohort), Work(tmp_path / "work", device="cpu"))
