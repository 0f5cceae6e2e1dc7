"""What of a detection is held against which labels of the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri.batch import replace_all
from anomri.datasets import Found, LeftOut
from anomri.detector import Detector, load
from anomri.errors import Failure, ScanError
from anomri.experiments.comparison.measurement import MeasureTask
from anomri.files import derivative, read_tsv
from anomri.models import build
from anomri.pipeline import evaluate, measure_case, read_case
from anomri.recipe import Recipe, Step
from anomri.reporting import write_detection
from anomri.scan import Scan, ScanFiles


@pytest.fixture
def looked(ball_scan: Scan, tmp_path: Path) -> ScanFiles:
    """Files of the ball, half of whose truth enhances."""
    truth = ball_scan.truth
    assert truth is not None
    truth = np.where((truth > 0) & (np.arange(52) < 26)[:, None], 4, truth).astype(np.uint8)
    path = tmp_path / "seg.nii.gz"
    nib.save(nib.Nifti1Image(truth, ball_scan.grid.affine), path)
    return ScanFiles(
        subject=ball_scan.subject, contrasts={"t1ce": tmp_path / "t1ce.nii.gz"}, layout="folder",
        truth=path,
    )  # fmt: skip


def detected(ball_scan: Scan, files: ScanFiles, shows: str, out: Path) -> int:
    """Write a detection whose map shows a region; return the voxels of its mask."""
    recipe = Recipe.load("intensity").with_changes(shows=shows)
    recipe = recipe.model_copy(update={"contrasts": ("t1ce",)})
    scan = replace(ball_scan, contrasts=("t1ce",), label=files.label)
    detection = Detector.of(recipe, load("intensity", device="cpu").first.networks).detect_scan(
        scan
    )
    write_detection(detection, out)
    return int(detection.mask.sum())


@pytest.mark.parametrize(
    ("shows", "counted", "not_counted"),
    [
        ("enhancing", ("enhancing", "whole", ""), ("core",)),
        ("whole", ("whole", ""), ("enhancing",)),
    ],
)
def test_a_mask_without_regions_is_of_the_region_that_it_shows(
    ball_scan: Scan,
    looked: ScanFiles,
    tmp_path: Path,
    shows: str,
    counted: tuple[str, ...],
    not_counted: tuple[str, ...],
) -> None:
    voxels = detected(ball_scan, looked, shows, tmp_path / "out")
    assert voxels > 0
    for region in counted:
        assert read_case(tmp_path / "out", looked, region)["mask"].sum() == voxels
    for region in not_counted:
        assert not read_case(tmp_path / "out", looked, region)["mask"].any()


def test_a_patient_without_an_experts_mask_is_not_measured_as_healthy(
    ball_scan: Scan, looked: ScanFiles, tmp_path: Path
) -> None:
    detected(ball_scan, looked, "enhancing", tmp_path / "out")
    unlabelled = replace(looked, truth=None, healthy=False)
    with pytest.raises(ScanError, match="expert mask"):
        read_case(tmp_path / "out", unlabelled)
    assert read_case(tmp_path / "out", replace(unlabelled, healthy=None))["truth"] is None


def test_two_sessions_of_a_subject_are_two_scans(
    ball_scan: Scan, looked: ScanFiles, tmp_path: Path
) -> None:
    sessions = [replace(looked, session=name) for name in ("before", "after")]
    for files in sessions:
        detected(ball_scan, files, "whole", tmp_path)
    evaluate(tmp_path, Found(tuple(sessions), (), "bids"), tmp_path)
    names = [files.label for files in sessions]
    for table in ("evaluation", "evaluation_curves", "evaluation_slices", "evaluation_lesions"):
        rows = read_tsv(tmp_path / f"{table}.tsv")
        assert list(dict.fromkeys(row["subject"] for row in rows)) == names
    compared = MeasureTask(tmp_path, regions=False, edges_ml=(1.0,))
    assert [compared(files)[0]["subject"] for files in sessions] == names


def test_only_what_reconstructs_has_an_error(
    ball_scan: Scan, looked: ScanFiles, tmp_path: Path
) -> None:
    detected(ball_scan, looked, "enhancing", tmp_path / "out")
    assert np.isnan(measure_case(tmp_path / "out", looked)["reconstruction_mae"])

    recipe = Recipe.load("intensity").with_changes(shows="enhancing")
    network = build(Step(name="vae"), channels=1, size=(64, 64))
    scan = replace(ball_scan, contrasts=("t1ce",), label=looked.label)
    recipe = recipe.model_copy(update={"contrasts": ("t1ce",), "family": Step(name="vae")})
    detection = Detector.of(recipe, (network,)).detect_scan(scan)
    write_detection(detection, tmp_path / "vae")
    anomaly = detection.anomaly
    residual = np.abs(anomaly.scan.image - anomaly.reconstruction)[:, anomaly.scan.brain]
    error = measure_case(tmp_path / "vae", looked)["reconstruction_mae"]
    assert error == pytest.approx(residual.mean())


def test_a_result_that_the_last_run_could_not_make_again_is_named(
    ball_scan: Scan, looked: ScanFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    detected(ball_scan, looked, "whole", tmp_path)
    found = Found((looked,), (), "bids")
    evaluate(tmp_path, found, tmp_path / "measured")
    assert "earlier run" not in caplog.text
    refused = Failure(
        subject=looked.subject,
        label=looked.label,
        file="flair.nii",
        reason="it is truncated",
        next_step="copy it again",
    )
    replace_all(tmp_path, {looked.label: refused})
    evaluate(tmp_path, found, tmp_path / "measured")
    assert f"{looked.label}: it failed in the last run" in caplog.text


def test_who_is_not_measured_has_a_row(ball_scan: Scan, looked: ScanFiles, tmp_path: Path) -> None:
    good, bad, failed, new = (replace(looked, subject=f"s{n}") for n in range(4))
    for files in (good, bad):
        detected(ball_scan, files, "whole", tmp_path)
    sidecar = derivative(tmp_path, bad.label, "label-lesion_mask.json")
    sidecar.write_text("{")
    refused = Failure(
        subject="s2",
        label=failed.label,
        file="flair.nii",
        reason="expected 3 axes, got 4",
        next_step="split it",
    )
    replace_all(tmp_path, {failed.label: refused})
    gone = LeftOut("s4", "sub-s4", "two runs")
    found = Found((good, bad, failed, new), (), "bids", left_out=(gone,))
    _, outcome = evaluate(tmp_path, found, tmp_path / "measured")
    assert outcome.done == [good.label]
    assert outcome.exit_code == 3
    rows = read_tsv(tmp_path / "measured" / "evaluation_failures.tsv")
    told = {row["subject"]: (row["status"], row["file"]) for row in rows}
    assert told == {
        "s1": ("failed", sidecar.name),
        "s2": ("failed", "flair.nii"),
        "s3": ("not detected", "n/a"),
        "s4": ("left out", "n/a"),
    }


def test_a_scan_that_nobody_looked_at_is_no_failure(
    ball_scan: Scan, looked: ScanFiles, tmp_path: Path
) -> None:
    detected(ball_scan, looked, "whole", tmp_path)
    found = Found((looked, replace(looked, subject="new")), (), "bids")
    _, outcome = evaluate(tmp_path, found, tmp_path)
    assert outcome.exit_code == 0
    assert [one.subject for one in outcome.not_detected] == ["new"]
