"""`follow` on folders of results: unchanged scans, bad input, and no dates in any file."""

from __future__ import annotations

import gzip
import shutil
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri.batch import replace_for
from anomri.datasets import Found, acquisition_date, parse_date, write_dataset_description
from anomri.errors import Failure, UnreadableScan, UsageError
from anomri.files import read_tsv
from anomri.longitudinal import TimePoint
from anomri.pipeline import Selection, follow_up
from anomri.pipeline.follow_up import FollowTask
from anomri.pipeline.time_point_selection import Course, Examination, courses_of
from anomri.reporting import read_sound_records, write_detection
from anomri.scan import AnomalyMap, Detection, Finding, Scan, ScanFiles, Threshold


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, small_ball_scan: Scan) -> Path:
    """Two sessions of one subject with the same scan, and one of another."""
    folder = tmp_path_factory.mktemp("written")
    write_dataset_description(folder)
    for label in ("sub-ball01_ses-1", "sub-ball01_ses-2", "sub-other"):
        write_detection(detection_in(replace(small_ball_scan, label=label)), folder)
    return folder


@pytest.fixture
def results(written: Path, tmp_path: Path) -> Path:
    """Return a copy of the results that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "results"))


def detection_in(scan: Scan) -> Detection:
    lesion = scan.truth > 0 if scan.truth is not None else np.zeros_like(scan.brain)
    ml = float(lesion.sum() * scan.grid.voxel_ml)
    values = np.where(lesion, 6, 0).astype(np.float32)[None]
    anomaly = AnomalyMap(scan=scan, values=values, reconstruction=0 * values, score="residual")
    found = Finding(number=1, volume_ml=ml, centre_mm=(64, 52, 52), peak=6.0, range_ml=(ml, ml))
    return Detection(
        anomaly=anomaly,
        mask=lesion,
        threshold=Threshold(value=3.0, rule="fixed"),
        slice_scores=np.zeros(scan.brain.shape[2]),
        scan_score=ml,
        findings=(found,),
    )


def texts_in(folder: Path) -> bytes:
    contents = (path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return b"".join(gzip.decompress(c) if c[:2] == b"\x1f\x8b" else c for c in contents)


def test_sessions_of_a_subject_are_followed_and_others_are_named(
    results: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    outcome = follow_up([results], out)
    assert outcome.done == ["sub-ball01"]
    assert outcome.exit_code == 3
    (row,) = read_tsv(out / "evolution.tsv")
    assert (row["class"], row["interval_days"], row["ml_per_year"]) == ("stable", "n/a", "n/a")
    (failed,) = read_tsv(out / "failures.tsv")
    assert "expected at least two time points" in failed["reason"]
    assert follow_up([results], out).unchanged == ["sub-ball01"]


def test_only_selected_subjects_are_followed(results: Path, tmp_path: Path) -> None:
    outcome = follow_up([results], tmp_path / "out", selection=Selection.of_labels(["ball01"]))
    assert (outcome.done, outcome.failures) == (["sub-ball01"], [])


def test_a_lesion_that_the_result_does_not_know_is_named(results: Path, tmp_path: Path) -> None:
    (path,) = (results / "sub-ball01" / "ses-2").rglob("*_desc-lesions_dseg.nii.gz")
    image = nib.nifti1.load(path)
    edited = np.asarray(image.dataobj).copy()
    edited[13, 13, 13] = 7
    nib.save(nib.Nifti1Image(edited, image.affine), path)
    (failed, _) = follow_up([results], tmp_path / "out").failures
    assert "expected lesions of the result alone, got one of the number 7" in failed.reason


def test_dates_give_an_interval_and_are_written_nowhere(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    one, two = (tmp_path / name for name in ("one", "two"))
    for folder, session in ((one, "1"), (two, "2")):
        write_dataset_description(folder)
        (folder / "sub-ball01").mkdir()
        (results / "sub-ball01" / f"ses-{session}").rename(folder / "sub-ball01" / f"ses-{session}")
    follow_up([one, two], out, dates=("2031-03-01", "20310831"))
    (row,) = read_tsv(out / "evolution.tsv")
    assert row["interval_days"] == "183"
    assert b"2031" not in texts_in(out)


def test_dates_in_another_order_are_refused(results: Path, tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    write_dataset_description(sessions)
    (results / "sub-ball01").rename(sessions / "sub-ball01")
    outcome = follow_up([sessions], tmp_path / "out", dates=("2031-08-31", "2031-03-01"))
    assert [failure.reason for failure in outcome.failures] == [
        "expected the earliest scan first, got dates in another order"
    ]
    assert not (tmp_path / "out" / "sub-ball01").exists()


@pytest.mark.parametrize("dates", [("2031-03-01",), ("2031-03-01", "spring")])
def test_dates_that_do_not_fit(results: Path, tmp_path: Path, dates: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"--dates: expected (a date for|dates such)"):
        follow_up([results], tmp_path / "out", dates=dates)


def test_one_time_point_is_refused(results: Path, tmp_path: Path) -> None:
    single = tmp_path / "single"
    write_dataset_description(single)
    (results / "sub-other").rename(single / "sub-other")
    with pytest.raises(UsageError, match="expected at least two time points"):
        follow_up([single], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_followed_is_refused_before_detection(tmp_path: Path) -> None:
    scan = ScanFiles(subject="a", contrasts={}, layout="folder")
    one = Found((scan,), (), "folder")
    with pytest.raises(UsageError, match="got one of sub-a"):
        follow_up([one], tmp_path / "out")
    with pytest.raises(UsageError, match="got 1 for 2"):
        follow_up([one, one], tmp_path / "out", dates=("2031-03-01",))
    assert not (tmp_path / "out").exists()


def test_a_damaged_result_is_a_failure(
    results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (sidecar,) = (results / "sub-other").rglob("*_label-lesion_mask.json")
    sidecar.write_text("{")
    outcome = follow_up([results], tmp_path / "out", dates=("2031-03-01", "2031-08-31"))
    assert "--dates: not used, because not every time point could be" in caplog.text
    assert [failure.label for failure in outcome.failures] == ["sub-other"]
    assert outcome.exit_code == 3
    (row,) = read_tsv(tmp_path / "out" / "failures.tsv")
    assert row["file"] == sidecar.name


def test_files_of_others_are_kept(results: Path, tmp_path: Path) -> None:
    mine = tmp_path / "out" / "sub-ball01" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    outcome = follow_up([results], tmp_path / "out")
    assert mine.read_text() == "mine"
    assert outcome.exit_code == 3


def test_dates_with_and_without_hyphens() -> None:
    assert parse_date("20240229") == parse_date("2024-02-29T08:00:00")
    assert parse_date("20230229") is None


def test_sessions_are_in_the_order_of_their_numbers(results: Path) -> None:
    records, _ = read_sound_records(results)
    ball = next(record for record in records if record.label == "sub-ball01_ses-1")
    found = [
        Examination(results, ball.model_copy(update={"label": f"sub-ball01_ses-{number}"}))
        for number in (10, 1, 2)
    ]
    (course,) = courses_of([found], one_subject=False)
    assert course.sessions == ("1", "2", "10")


def test_what_is_left_of_two_cohorts_is_not_taken_for_one_subject(
    results: Path, tmp_path: Path
) -> None:
    """Of each cohort another subject has no result: the two that are left are two subjects."""
    later = Path(shutil.copytree(results, tmp_path / "later"))
    shutil.rmtree(results / "sub-ball01")
    shutil.rmtree(later / "sub-other")
    shutil.rmtree(later / "sub-ball01" / "ses-2")
    for folder, label in ((results, "sub-ball01_ses-1"), (later, "sub-other")):
        failure = Failure(subject=label, label=label, reason="damaged", next_step="copy it")
        replace_for(folder, [label], {label: failure})
    with pytest.raises(UsageError, match="expected at least two time points"):
        follow_up([results, later], tmp_path / "out")


def test_dates_that_cannot_be_read_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flair = tmp_path / "sub-a" / "anat" / "sub-a_FLAIR.nii"
    flair.parent.mkdir(parents=True)
    table = tmp_path / "sub-a" / "sub-a_scans.tsv"
    files = ScanFiles(subject="a", contrasts={"flair": flair}, layout="bids")
    row = "filename\tacq_time\tby\nanat/sub-a_FLAIR.nii\t2031-03-01\tM\xfcller\n"
    table.write_bytes(row.encode("latin-1"))
    assert acquisition_date(files) is None
    assert "correct the table, or give --dates" in caplog.text
    table.write_text(row, encoding="utf-8")
    assert acquisition_date(files) == date(2031, 3, 1)


def test_an_orientation_that_the_user_states_is_used_for_the_comparison(
    results: Path, tmp_path: Path, small_ball_scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files whose headers do not state it are read again after the detection."""
    path = tmp_path / "flair.nii"
    nib.save(nib.Nifti1Image(small_ball_scan.image[0], None), path)
    files = ScanFiles(subject="ball01", contrasts={"flair": path}, layout="folder")
    records = [r for r in read_sound_records(results)[0] if r.label.startswith("sub-ball01")]
    examined = tuple(Examination(results, record, files) for record in records)
    course = Course("ball01", "sub-ball01", examined)
    compared: list[TimePoint] = []

    def stop(points: list[TimePoint]) -> None:
        compared.extend(points)
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[FollowTask.__module__], "follow", stop)
    with pytest.raises(UnreadableScan, match="--orientation"):
        FollowTask({course.label: course}, tmp_path)(files)
    keyed = ScanFiles(subject="ball01", contrasts={}, layout="follow")
    with pytest.raises(KeyboardInterrupt):
        FollowTask({course.label: course}, tmp_path, "LPS")(keyed)
    assert [nib.aff2axcodes(point.grid.affine) for point in compared] == [("L", "P", "S")] * 2
