"""DICOM folders in zip archives are found and converted like the folders themselves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri.datasets import converted, find

MakeSeries = Callable[..., list[Path]]
VOLUME = np.random.default_rng(0).integers(0, 900, (10, 16, 12))


def _zipped(folder: Path, name: str) -> Path:
    archive = Path(shutil.make_archive(str(folder.parent / name), "zip", folder))
    shutil.rmtree(folder)
    return archive


@pytest.mark.parametrize("alone", [True, False])
def test_an_archive_is_a_study(tmp_path: Path, make_series: MakeSeries, alone: bool) -> None:
    make_series(tmp_path / "in" / "a", VOLUME, SeriesDescription="t2_flair")
    archive = _zipped(tmp_path / "in", "first")
    if not alone:
        make_series(tmp_path / "in", VOLUME, study=2, SeriesDescription="FLAIR")
        _zipped(tmp_path / "in", "second")
    found = find(archive if alone else tmp_path)
    assert found.layout == "dicom"
    assert len(found.scans) == (1 if alone else 2)
    with converted(found.scans[0]) as files:
        image = nib.Nifti1Image.from_filename(files.contrasts["flair"])
        assert sorted(np.asarray(image.dataobj).ravel()) == sorted(VOLUME.ravel())


def test_an_archive_beside_scans_is_not_opened(tmp_path: Path, make_series: MakeSeries) -> None:
    make_series(tmp_path / "in", VOLUME, SeriesDescription="FLAIR")
    _zipped(tmp_path / "in", "study")
    (tmp_path / "flair.nii").touch()
    (skipped,) = find(tmp_path).skipped
    assert (skipped.name, "among other files" in skipped.reason) == ("study.zip", True)
