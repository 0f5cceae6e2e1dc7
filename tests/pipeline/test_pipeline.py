"""The main path on small phantoms, as a user types it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

import anomri
from anomri import pipeline
from anomri.cli import app
from anomri.detector import load
from anomri.errors import UsageError
from anomri.recipe import Overrides
from anomri.synthesis import make_phantoms

RECIPE = """
name: small
contrasts: [flair]
preparation: {spacing_mm: [4, 4, null], shape: [64, 64, null]}
family: {vae: {reconstruction: l1}}
training: {batch_size: 8, slab_mm: 60, validation_fraction: 0.4}
detection:
  clean: [{erode_brain: {mm: 4}}, {median: {size_mm: 8}}, standardise]
  decide: above
"""


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.output)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms, prepared, trained for three steps, calibrated, detected, evaluated."""
    root = tmp_path_factory.mktemp("work")
    make_phantoms(root / "phantoms", healthy=3, gliomas=1, lesions=0, spacing_mm=4.0)
    (root / "small.yaml").write_text(RECIPE)
    recipe = root / "small.yaml"
    run("prepare", root / "phantoms", "--recipe", recipe, "-o", root / "prepared")
    run("train", recipe, "--data", root / "prepared", "-o", root / "run", "--max-steps", 3)
    run("calibrate", root / "run", "--data", root / "prepared")
    run("detect", root / "phantoms", "--model", root / "run", "-o", root / "out")
    run("evaluate", root / "out", "--truth", root / "phantoms")
    return root


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_run_folder_is_complete(work: Path) -> None:
    names = {path.name for path in (work / "run").iterdir()}
    expected = {"recipe.yaml", "weights.safetensors", "thresholds.json", "metrics.tsv"}
    assert expected | {"environment.json"} <= names


def test_thresholds_keep_their_provenance(work: Path) -> None:
    thresholds = json.loads((work / "run" / "thresholds.json").read_text())
    maps = {"healthy", "healthy_decision", "labelled"}
    assert maps <= set(thresholds) <= {*maps, "robust"} | {"mean_residual", "mahalanobis"}
    assert len(thresholds["healthy"]["fitted_on"]) == 4
    assert len(thresholds["labelled"]["fitted_on"]) == 1
    assert thresholds["healthy"]["false_positive_ml"] <= 5.0


def test_every_subject_is_measured(work: Path) -> None:
    table = rows(work / "out" / "evaluation.tsv")
    assert len(table) == 4
    assert sum(row["dice"] != "n/a" for row in table) == 1
    assert all(float(row["false_positive_ml"]) >= 0 for row in table)


def test_the_page_is_written(work: Path) -> None:
    assert "Research use only" in (work / "out" / "report.html").read_text("utf-8")


def test_a_second_run_does_nothing(work: Path) -> None:
    masks = sorted((work / "out").glob("sub-*/anat/*mask.nii.gz"))
    before = [path.stat().st_mtime_ns for path in masks]
    run("detect", work / "phantoms", "--model", work / "run", "-o", work / "out")
    assert [path.stat().st_mtime_ns for path in masks] == before


def test_another_threshold_is_another_result(work: Path) -> None:
    found = pipeline.find_scans(work / "phantoms")
    detector = load(str(work / "run"), device="cpu", overrides=Overrides(threshold="healthy"))
    outcome = pipeline.detect(found, detector, work / "healthy")
    assert len(outcome.done) == 4
    record = json.loads(next((work / "healthy").glob("sub-*/anat/*lesion_mask.json")).read_text())
    assert record["Threshold"]["Rule"] == "healthy"


def test_an_unfitted_rule_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="anomri calibrate"):
        load("intensity", overrides=Overrides(threshold="labelled"))


@pytest.mark.parametrize("option", ["--threshold", "--decide"])
def test_an_unknown_name_is_refused_before_anything_is_written(
    option: str, work: Path, tmp_path: Path
) -> None:
    words = ["detect", work / "phantoms", "--model", "intensity", "-o", tmp_path / "out"]
    result = CliRunner().invoke(app, [*map(str, words), option, "foo"])
    assert isinstance(result.exception, UsageError)
    assert "foo" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_writes_nothing(work: Path) -> None:
    run("detect", work / "phantoms", "-o", work / "dry", "--dry-run")
    assert not (work / "dry").exists()
    run("detect", work / "phantoms", "--dry-run")
    with pytest.raises(UsageError, match="expected a folder to write to"):
        run("detect", work / "phantoms")


@pytest.mark.parametrize("command", ["detect", "prepare"])
def test_the_folder_of_the_scans_is_not_written_to(command: str, tmp_path: Path) -> None:
    scan = tmp_path / "sub-1" / "flair.nii.gz"
    scan.parent.mkdir()
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), scan)
    result = CliRunner().invoke(app, [command, str(tmp_path), "-o", str(tmp_path / "sub-1" / "..")])
    assert isinstance(result.exception, UsageError)
    assert "-o" in str(result.exception)
    assert list(tmp_path.rglob("*.nii.gz")) == [scan]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_split_of_no_file_is_refused(tmp_path: Path) -> None:
    words = ["detect", str(tmp_path), "--split", "test", "--dry-run"]
    with pytest.raises(UsageError, match="--split-file"):
        CliRunner().invoke(app, words, catch_exceptions=False)


def test_the_split_of_a_file_is_what_the_command_is_for(work: Path, tmp_path: Path) -> None:
    names = [one.subject for one in pipeline.find_scans(work / "phantoms").scans]
    table = tmp_path / "splits.tsv"
    parts = ["train", "test", *["train"] * (len(names) - 2)]
    rows = [f"{name}\t{part}" for name, part in zip(names, parts, strict=True)]
    table.write_text("\n".join(["subject\tsplit", *rows]) + "\n")
    shown = run("detect", work / "phantoms", "--split-file", table, "--dry-run")
    assert "1 scan" in shown
    prepared = run("prepare", work / "phantoms", "--split-file", table, "--dry-run")
    assert f"{len(names) - 1} scan" in prepared


def test_subjects_can_be_chosen(work: Path) -> None:
    found = pipeline.find_scans(work / "phantoms")
    name = found.scans[0].subject
    chosen = pipeline.find_scans(work / "phantoms", selection=pipeline.Selection(frozenset({name})))
    assert [files.subject for files in chosen.scans] == [name]
    with pytest.raises(UsageError, match="none of the 4"):
        pipeline.find_scans(work / "phantoms", selection=pipeline.Selection(frozenset({"nobody"})))


def test_no_output_names_the_folder_it_came_from(work: Path) -> None:
    texts = [p for p in (work / "out").rglob("*") if p.suffix in {".json", ".tsv", ".html"}]
    assert texts
    for path in texts:
        assert str(work) not in path.read_text("utf-8")


def test_detection_from_python_gives_images_on_the_input_grid(work: Path) -> None:
    path = next((work / "phantoms").glob("sub-*/*_flair.nii.gz"))
    image = nib.Nifti1Image.from_filename(path)
    model = anomri.load("intensity", device="cpu")
    result = model.detect({"flair": path})
    assert result.mask.shape == image.shape
    np.testing.assert_allclose(result.anomaly.affine, image.affine, atol=1e-4)
    again = model.detect({"flair": image})
    assert np.array_equal(np.asarray(again.mask.dataobj), np.asarray(result.mask.dataobj))
    assert (result.save(work / "saved")).is_dir()


def test_many_are_detected_one_by_one_and_errors_collected(work: Path) -> None:
    good = next((work / "phantoms").glob("sub-*/*_flair.nii.gz"))
    subjects = [{"flair": good}, {"flair": work / "missing.nii.gz"}]
    results = list(anomri.load("intensity", device="cpu").detect_many(subjects, on_error="collect"))
    assert isinstance(results[0], anomri.Result)
    assert isinstance(results[1], anomri.AnomriError)


def test_version_and_notice() -> None:
    assert run("--version").strip() == anomri.__version__
    assert "not a medical device" in " ".join(run("--help").split())
