"""`anomri report` and `anomri view`, as a user types them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from anomri.cli import app
from anomri.errors import UsageError
from anomri.files import write_tsv
from anomri.reporting import write_detection
from anomri.reporting.derivatives import detection as derivatives
from anomri.scan import Detection

Detect = Callable[..., Detection]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def scan(detect: Detect, tmp_path: Path) -> Path:
    """A folder with one scan."""
    folder = tmp_path / "ball_01"
    folder.mkdir()
    image = detect().anomaly.scan.image[0]
    nib.save(nib.Nifti1Image(image, np.diag([2.0, 2, 2, 1])), folder / "flair.nii.gz")
    return folder


@pytest.fixture
def out(detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(derivatives, "picture", lambda _: b"")
    write_detection(detect(), tmp_path / "out")
    (tmp_path / "out" / "sub-ball01" / "anat" / "sub-ball01_desc-qc.png").unlink()
    return tmp_path / "out"


def test_report_of_results_and_of_an_evaluation_elsewhere(out: Path, tmp_path: Path) -> None:
    assert run("report", out).exit_code == 0
    text = (out / "report.html").read_text("utf-8")
    assert "ball_01" in text
    assert "Evaluation against" not in text
    write_tsv(tmp_path / "scores" / "evaluation.tsv", ("subject", "dice"), [("ball_01", 0.5)])
    assert run("report", out, "--scores", tmp_path / "scores").exit_code == 0
    assert "Evaluation against" in (out / "report.html").read_text("utf-8")


def test_report_of_a_run_folder_and_of_a_table(tmp_path: Path) -> None:
    for file, words in (("metrics.tsv", "Learning curves"), ("published.tsv", "Reproduction of")):
        folder = tmp_path / file.partition(".")[0]
        write_tsv(folder / file, ("epoch", "train_loss"), [(0, 1.0), (1, 0.5)])
        assert run("report", folder).exit_code == 0
        assert words in (folder / "report.html").read_text("utf-8")
        answer = run("report", folder, "--scores", tmp_path)
        assert isinstance(answer.exception, UsageError)  # it was ignored


def test_no_report_is_written_among_scans(scan: Path) -> None:
    answer = run("report", scan)
    assert isinstance(answer.exception, UsageError)
    assert f"{scan.name}: expected results of `anomri detect`" in str(answer.exception)
    assert not (scan / "report.html").exists()


def test_view_alone_and_with_a_result(
    scan: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("view", scan / "flair.nii.gz").exit_code == 0
    assert [path.name for path in tmp_path.glob("*_view.html")] != []
    answer = run("view", scan, out)
    assert answer.exit_code == 0, answer.output
    assert "1 lesion" in (out / "sub-ball01_view.html").read_text("utf-8")


def test_view_puts_a_mask_without_its_header_where_it_is_told(scan: Path, tmp_path: Path) -> None:
    labels = np.zeros((48, 52, 44), np.uint8)
    labels[20:24, 20:24, 20:24] = 1
    nib.save(nib.Nifti1Image(labels, np.eye(4)), scan / "seg.nii.gz")
    page = tmp_path / "page.html"
    for option, shown in (("auto", False), ("scan", True)):
        assert run("view", scan, "-o", page, "--mask-grid", option).exit_code == 0
        assert ('"kind":"truth"' in page.read_text("utf-8").replace(" ", "")) is shown
    assert isinstance(run("view", scan, "--mask-grid", "elsewhere").exception, UsageError)


def test_what_is_not_there_is_an_error_of_use(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words in (("report", tmp_path / "nowhere"), ("view", scan, tmp_path / "empty")):
        assert isinstance(run(*words).exception, UsageError)  # `main` turns it into exit code 2
