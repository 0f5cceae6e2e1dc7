"""Every subject that a data set names is a row: finished, failed, or left out with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anomri import batch, pipeline
from anomri.batch import known
from anomri.datasets import Found, LeftOut, find
from anomri.detector import load
from anomri.files import read_tsv
from anomri.reporting import write_detection, write_tables
from anomri.scan import Detection, Scan

Detect = Callable[[Scan], Detection]


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Three subjects: one FLAIR, two runs of it, and none."""
    root = tmp_path / "bids"
    for name in ("sub-01_FLAIR", "sub-02_run-1_FLAIR", "sub-02_run-2_FLAIR", "sub-03_T1w"):
        path = root / name[:6] / "anat" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_nobody_vanishes(data_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    detector = load("intensity", device="cpu")
    outcome = pipeline.detect(find(data_set), detector, out)
    assert outcome.exit_code == 3
    rows = {row["label"]: row for row in read_tsv(out / "summary.tsv")}
    assert {label: row["status"] for label, row in rows.items()} == {
        "sub-01": "failed",  # an empty file
        "sub-02": "left out",
        "sub-03": "failed",  # no FLAIR
    }
    assert "run-1_FLAIR" in rows["sub-02"]["notes"]
    assert [row["subject"] for row in read_tsv(out / "failures.tsv")] == ["01", "02", "03"]
    page = pipeline.report(out).read_text(encoding="utf-8")
    assert "0 of 3" in page
    assert "left out" in page


def test_the_parts_of_a_job_array_share_who_is_left_out() -> None:
    missing = tuple(LeftOut(name, f"sub-{name}", "no scan") for name in "abc")
    found = Found((), (), "bids", left_out=missing)
    shares = [batch.Shard(number, 2).found(found).left_out for number in (1, 2)]
    assert [[one.subject for one in share] for share in shares] == [["a", "c"], ["b"]]


def test_a_group_is_finished_from_its_results_alone(
    tmp_path: Path, ball_scan: Scan, detect_bright: Detect
) -> None:
    write_detection(detect_bright(ball_scan), tmp_path)
    missing = LeftOut("ball_01", "sub-ball01", "a broken link")
    for found in (None, Found((), (), "bids", left_out=(missing,))):
        outcome = pipeline.gather(found, tmp_path)
        assert (outcome.exit_code, outcome.unchanged) == (0, ["sub-ball01"])
    other = LeftOut("02", "sub-02", "two runs")
    outcome = pipeline.gather(Found((), (), "bids", left_out=(other,)), tmp_path)
    assert outcome.exit_code == 3
    assert list(known(tmp_path)) == ["sub-02"]
    assert pipeline.gather(None, tmp_path).exit_code == 3  # what is known stays so


def test_a_summary_names_those_without_a_result(tmp_path: Path) -> None:
    missing = batch.left_out([LeftOut("x", "sub-x", "why")])
    write_tables(tmp_path, missing)
    (row,) = read_tsv(tmp_path / "summary.tsv")
    assert (row["subject"], row["status"], row["notes"]) == ("x", "left out", "why")
