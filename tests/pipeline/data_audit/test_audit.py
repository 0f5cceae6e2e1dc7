"""An audit names what is wrong with a data set, and exits with 5."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from anomri.cli import app
from anomri.datasets import Found, Skipped
from anomri.errors import GridMismatch
from anomri.files import read_tsv
from anomri.pipeline import audit
from anomri.pipeline.data_audit.duplicates import duplicates
from anomri.pipeline.data_audit.problems import Severity, problem_of_error
from anomri.pipeline.data_audit.scan_audit import AuditedScan
from anomri.preprocessing.template.mni152 import load_template
from anomri.preprocessing.template.tissues import tissue_map
from anomri.recipe import recipe_to_prepare
from anomri.scan import ScanFiles

STEP = 3  # voxels of the template


def write_subject(folder: Path, seed: int, *, turned: bool = False) -> None:
    """Write the template's brain as FLAIR with one lesion on the left, and its mask."""
    values, grid = load_template()
    few = (slice(None, None, STEP),) * 3
    grey, white = (tissue_map(name)[few] / 255 for name in ("gm", "wm"))
    noise = np.random.default_rng(seed).normal(0, 3, grey.shape)
    lesion = np.zeros(grey.shape, bool)
    lesion[22:26, 50:54, 32:35] = True
    fluid = (1 - grey - white).clip(0)
    flair = 105 * grey + 100 * white + 20 * fluid + noise + 80 * lesion
    affine = np.diag([0.95, 0.95, 0.95, 1]) @ grid.affine @ np.diag([STEP, STEP, STEP, 1])
    folder.mkdir(parents=True)
    image = np.where(values[few] > 0, flair, 0).astype(np.float32)
    nib.save(nib.Nifti1Image(image, affine), folder / "flair.nii.gz")
    mask = np.flip(lesion, 0) if turned else lesion
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), folder / "lesion.nii.gz")


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """Audit two subjects of one brain, the second one's mask turned; exit code and results."""
    folder = tmp_path_factory.mktemp("audit")
    write_subject(folder / "data" / "a1", 0)
    write_subject(folder / "data" / "b2", 1, turned=True)
    splits = folder / "splits.tsv"
    splits.write_text("subject\tsplit\na1\ttrain\nb2\ttest\n", encoding="utf-8")
    out = folder / "out"
    command = ["audit", str(folder / "data"), "-o", str(out), "--split-file", str(splits)]
    return CliRunner().invoke(app, command).exit_code, out


def test_what_is_wrong_is_listed_and_ends_with_five(audited: tuple[int, Path]) -> None:
    code, out = audited
    rows = read_tsv(out / "audit.tsv")
    wrong = {(row["subject"], row["check"]) for row in rows if row["severity"] == "wrong"}
    assert code == 5
    assert ("b2", "lesion_mask") in wrong
    assert ("a1", "lesion_mask") not in wrong
    (pair,) = [row for row in rows if row["check"] in ("same_image", "same_brain")]
    assert "b2" in pair["finding"]
    assert "in the splits train and test" in pair["finding"]


def test_table_dictionary_and_page_agree(audited: tuple[int, Path]) -> None:
    _, out = audited
    rows = read_tsv(out / "audit.tsv")
    dictionary = json.loads((out / "audit.json").read_text())
    assert list(rows[0]) == list(dictionary)
    assert "Not described" not in [entry["Description"] for entry in dictionary.values()]
    assert {row["check"] for row in rows} <= set(dictionary["check"]["Levels"])
    page = (out / "audit.html").read_text(encoding="utf-8")
    assert "left to right" in page
    assert "Research use only" in page


@pytest.mark.parametrize(
    ("file", "check"),
    [("les.nii", "lesion_mask"), ("brain.nii", "brain_mask"), ("t1.nii", "geometry")],
)
def test_the_file_that_lies_elsewhere_decides_the_check(file: str, check: str) -> None:
    files = ScanFiles(
        subject="a", contrasts={}, layout="folder", truth=Path("les.nii"), brain=Path("brain.nii")
    )
    error = GridMismatch(file, expected="one place", got="another", next_step="look")
    assert problem_of_error(files, error).check == check


@pytest.mark.parametrize(("layout", "name"), [("dicom", "im1"), ("bids", "Doe_Jane/im1")])
def test_folders_of_dicom_files_are_not_named(layout: str, name: str, tmp_path: Path) -> None:
    found = Found((), (Skipped("Doe_Jane/im1", "truncated"),), layout)
    audit(found, tmp_path, preparation=recipe_to_prepare("intensity").preparation)
    (row,) = read_tsv(tmp_path / "audit.tsv")
    assert row["subject"] == name
    assert ("Jane" in (tmp_path / "audit.html").read_text(encoding="utf-8")) == ("/" in name)


def scan(
    subject: str, signature: np.ndarray, contents: str = "", contrast: str = "flair"
) -> AuditedScan:
    signatures = {contrast: signature}
    return AuditedScan(subject, f"sub-{subject}", (), {"flair": contents or subject}, signatures)


def test_pairs_are_compared_by_file_and_by_brain() -> None:
    rng = np.random.default_rng(0)
    brain, other = rng.normal(size=(2, 4000)).astype(np.float32)
    again = 0.9 * brain + np.sqrt(1 - 0.81).astype(np.float32) * rng.normal(size=4000)
    scans = [
        scan("a", brain),
        scan("b", other),
        scan("c", again.astype(np.float32)),
        scan("d", brain, contrast="t1"),
        scan("e", other, contents="a"),
    ]
    found = {(p.subject, p.check): p.finding for p in duplicates(scans, {})}
    assert set(found) == {("a", "same_brain"), ("a", "same_image"), ("b", "same_image")}
    assert "of c (correlation 0." in found["a", "same_brain"]
    assert "the file of flair is also that of e" in found["a", "same_image"]
    assert all(p.severity is Severity.WRONG for p in duplicates(scans, {}))


def test_brains_are_compared_in_every_shared_contrast() -> None:
    first, second, shared = np.random.default_rng(0).normal(size=(3, 4000)).astype(np.float32)
    one, two = (
        AuditedScan(name, f"sub-{name}", (), signatures={"flair": own, "t1": shared / shared.std()})
        for name, own in (("a", first), ("b", second))
    )
    (found,) = duplicates([one, two], {})
    assert found.finding == "the t1 is also that of b"


@pytest.mark.parametrize("prefix", ["", "sub-"])
def test_splits_are_found_by_subject_and_by_label(prefix: str) -> None:
    brain = np.random.default_rng(0).normal(size=100).astype(np.float32)
    splits = {f"{prefix}a": "train", f"{prefix}b": "test"}
    (pair,) = duplicates([scan("a", brain), scan("b", brain, contents="a")], splits)
    assert "in the splits train and test" in pair.finding


def test_two_sessions_of_a_subject_may_share_a_brain() -> None:
    brain = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert list(duplicates([scan("a", brain), scan("a", brain)], {})) == []
