"""A batch with every kind of bad input: each gets its own clear error, the rest is finished."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from anomri.cli import app

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def _brain() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A brain-sized ellipsoid with a bright lesion, 4 mm voxels, about 1100 ml."""
    i, j, k = np.indices((48, 56, 44)).astype(np.float32)
    distance = ((i - 24) / 15) ** 2 + ((j - 28) / 19) ** 2 + ((k - 22) / 14) ** 2
    noise = np.random.default_rng(0).normal(100, 5, distance.shape)
    lesion = (i - 30) ** 2 + (j - 28) ** 2 + (k - 22) ** 2 < 16
    return np.where(distance < 1, noise + 80 * lesion, 0).astype(np.float32)


def _save(data: np.ndarray[tuple[int, ...], np.dtype[np.generic]], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, AFFINE), path)
    return path


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two good subjects and one of every bad kind."""
    root = tmp_path_factory.mktemp("batch")
    brain = _brain()
    for name in ("good1", "good2"):
        _save(brain, root / name / "flair.nii.gz")
    _save(np.stack([brain, brain], -1), root / "fourd" / "flair.nii.gz")
    _save(np.where(brain > 150, np.nan, brain), root / "nan" / "flair.nii.gz")
    _save(np.zeros_like(brain), root / "allzero" / "flair.nii.gz")
    colour = np.zeros(brain.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    _save(colour, root / "rgb" / "flair.nii.gz")
    whole = _save(brain, root / "truncated" / "flair.nii.gz").read_bytes()
    (root / "truncated" / "flair.nii.gz").write_bytes(whole[: len(whole) // 2])
    for name, content in {"empty": b"", "nonifti": b"not an image, only words" * 40}.items():
        (root / name).mkdir()
        (root / name / "flair.nii.gz").write_bytes(
            gzip.compress(content) if name == "nonifti" else content
        )
    _save(brain, root / "nocontrast" / "t1ce.nii.gz")
    _save(brain, root / "wrongmask" / "flair.nii.gz")
    _save(np.ones((20, 20, 20), np.uint8), root / "wrongmask" / "brain_mask.nii.gz")
    return root


WORDS = {
    "fourd": "4-D",
    "nan": "NaN",
    "allzero": "zero",
    "rgb": "RGB",
    "truncated": "truncated",
    "empty": "empty",
    "nonifti": "not",
    "nocontrast": "flair",
    "wrongmask": "shape",
}


@pytest.fixture(scope="module")
def finished(batch: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """Exit code and output folder of one detection over the whole batch."""
    out = tmp_path_factory.mktemp("out")
    result = CliRunner().invoke(app, ["detect", str(batch), "-o", str(out), "--layout", "folder"])
    return result.exit_code, out


def _failures(out: Path) -> dict[str, dict[str, str]]:
    with (out / "failures.tsv").open(encoding="utf-8") as file:
        return {row["subject"]: row for row in csv.DictReader(file, delimiter="\t")}


def test_the_batch_says_that_some_failed(finished: tuple[int, Path]) -> None:
    assert finished[0] == 3


def test_the_good_scans_are_finished(finished: tuple[int, Path]) -> None:
    for name in ("good1", "good2"):
        folder = finished[1] / f"sub-{name}" / "anat"
        mask: nib.Nifti1Image = nib.Nifti1Image.from_filename(
            folder / f"sub-{name}_label-lesion_mask.nii.gz"
        )
        assert np.asarray(mask.dataobj).sum() > 0


@pytest.mark.parametrize(("name", "word"), WORDS.items())
def test_each_bad_scan_has_its_own_reason(finished: tuple[int, Path], name: str, word: str) -> None:
    row = _failures(finished[1])[name]
    assert word.lower() in row["reason"].lower()
    assert row["next_step"]
    assert not (finished[1] / f"sub-{name}").exists()


def test_reasons_differ(finished: tuple[int, Path]) -> None:
    reasons = [row["reason"] for row in _failures(finished[1]).values()]
    assert len(set(reasons)) == len(WORDS)


def test_a_folder_without_scans_is_a_usage_error(tmp_path: Path) -> None:
    from anomri.errors import UsageError

    result = CliRunner().invoke(app, ["detect", str(tmp_path), "-o", str(tmp_path / "out")])
    assert isinstance(result.exception, UsageError)
    assert result.exception.exit_code == 2


def test_an_experts_mask_that_cannot_be_used_costs_the_evaluation_alone(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    _save(_brain(), scans / "a" / "flair.nii.gz")
    _save(np.ones((20, 20, 20), np.uint8), scans / "a" / "seg.nii.gz")
    runner = CliRunner()
    found = runner.invoke(app, ["detect", str(scans), "-o", str(out)])
    assert found.exit_code == 0, found.output
    sidecar = next(out.rglob("*label-lesion_mask.json")).read_text()
    assert "without the expert's mask: seg.nii.gz" in sidecar
    judged = runner.invoke(app, ["evaluate", str(out), "--truth", str(scans)])
    assert judged.exit_code == 3
    assert "seg.nii.gz" in judged.output


def test_a_region_that_is_none_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    _save(_brain(), tmp_path / "scans" / "a" / "flair.nii.gz")
    words = ["evaluate", str(tmp_path), "--truth", str(tmp_path / "scans"), "--region", "rim"]
    error = CliRunner().invoke(app, words).exception
    assert "region 'rim': expected one of whole, core, enhancing" in str(error)
