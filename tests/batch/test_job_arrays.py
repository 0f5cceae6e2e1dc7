"""Jobs of single participants that share one folder of results: none loses another one's rows."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from anomri.batch import known, replace_all, replace_for
from anomri.cli import app
from anomri.errors import Failure


def failure(name: str) -> Failure:
    return Failure(
        subject=name,
        label=name,
        file=f"{name}.nii.gz",
        reason="truncated",
        next_step="copy it again",
    )


def bids_app(data: Path, out: Path, level: str, *labels: str) -> int:
    words = ["bids-app", str(data), str(out), level]
    for label in labels:
        words += ["--participant-label", label]
    return CliRunner().invoke(app, words, catch_exceptions=False).exit_code


def failed(out: Path) -> dict[str, str]:
    with (out / "failures.tsv").open(encoding="utf-8") as file:
        return {row["subject"]: row["reason"] for row in csv.DictReader(file, delimiter="\t")}


@pytest.fixture
def healthy_flair(tmp_path: Path) -> Path:
    """A stripped brain of 1100 ml on 4 mm voxels."""
    place = np.indices((48, 56, 44)) - np.array([24, 28, 22])[:, None, None, None]
    radii = np.array([15, 20, 14])[:, None, None, None]
    inside = ((place / radii) ** 2).sum(0) < 1
    values = np.where(inside, np.random.default_rng(0).normal(400, 30, inside.shape), 0)
    image = nib.Nifti1Image(values.astype(np.float32), np.diag([4.0, 4, 4, 1]))
    nib.save(image, path := tmp_path / "FLAIR.nii.gz")
    return path


@pytest.fixture
def data(tmp_path: Path, healthy_flair: Path) -> Path:
    """Four participants of a BIDS data set; the files of 02 and 03 are broken."""
    for label in ("01", "02", "03", "04"):
        image = tmp_path / "data" / f"sub-{label}" / "anat" / f"sub-{label}_FLAIR.nii.gz"
        image.parent.mkdir(parents=True)
        shutil.copy(healthy_flair, image)
        if label in ("02", "03"):
            image.write_bytes(b"no image")
    return tmp_path / "data"


def test_a_list_of_failures_keeps_those_of_other_scans(tmp_path: Path) -> None:
    replace_for(tmp_path, ["sub-01", "sub-02"], {"sub-02": failure("02")})
    replace_for(tmp_path, ["sub-03"], {"sub-03": failure("03")})
    assert known(tmp_path) == {"sub-02": failure("02"), "sub-03": failure("03")}
    replace_for(tmp_path, ["sub-02"], {})
    assert known(tmp_path) == {"sub-03": failure("03")}
    replace_all(tmp_path, {})
    assert not list(tmp_path.rglob("*.json"))


def test_participants_do_not_overwrite_the_failures_of_others(
    data: Path, tmp_path: Path, healthy_flair: Path
) -> None:
    out = tmp_path / "out"
    assert bids_app(data, out, "participant", "02") == 3
    assert bids_app(data, out, "participant", "03") == 3
    assert bids_app(data, out, "participant", "01") == 0
    assert set(failed(out)) == {"02", "03"}
    # Repaired and looked at again, a scan leaves the table; the others stay.
    shutil.copy(healthy_flair, data / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz")
    assert bids_app(data, out, "participant", "sub-02") == 0
    assert set(failed(out)) == {"03"}
    # The group's tables tell why, and whom nobody has looked at.
    assert bids_app(data, out, "group") == 3
    reasons = failed(out)
    assert set(reasons) == {"03", "04"}
    assert "no result" not in reasons["03"]
    assert "no result" in reasons["04"]
    # All participants at once supersede what single jobs saw.
    assert bids_app(data, out, "participant") == 3
    assert set(failed(out)) == {"03"}


def test_a_dry_run_lists_participants_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    for level in ("participant", "group"):
        words = ["bids-app", str(data), str(tmp_path / "out"), level, "--dry-run"]
        done = CliRunner().invoke(app, [*words, "-m", "intensity_t1ce"], catch_exceptions=False)
        assert done.exit_code == 0
        assert "4 scans found" in done.output
        assert "sub-01: will be refused" in done.output
    assert not (tmp_path / "out").exists()
