"""A T1 given as FLAIR is reported on the terminal, in the table and on the page."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri import pipeline
from anomri.detector import load
from anomri.files import read_tsv
from anomri.preprocessing.template.mni152 import load_template
from anomri.reporting import write_page


def test_a_t1_given_as_flair_is_reported_everywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values, grid = load_template()
    affine = grid.affine @ np.diag([3, 3, 3, 1.0])
    (tmp_path / "in").mkdir()
    image = nib.Nifti1Image(values[::3, ::3, ::3], affine)
    nib.save(image, tmp_path / "in" / "case_flair.nii.gz")
    found = pipeline.find_scans(tmp_path / "in")
    with caplog.at_level(logging.WARNING):
        pipeline.detect(found, load("intensity", device="cpu"), tmp_path / "out")
    assert "FLAIR looks like T1" in caplog.text
    (row,) = read_tsv(tmp_path / "out" / "summary.tsv")
    assert "FLAIR looks like T1" in row["notes"]
    page = write_page(tmp_path / "out").read_text(encoding="utf-8")
    assert "Check 1 of 1 scans" in page
    assert "check the files" in page
