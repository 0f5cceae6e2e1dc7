"""What decides whether a scan is looked at again, and what is told of one that failed."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anomri.batch.runner import GuardedTask
from anomri.errors import DiskFull, MissingPiece, UsageError
from anomri.pipeline import Selection
from anomri.pipeline.detection import SourceFiles
from anomri.scan import Provenance, ScanFiles

MODEL: Any = SimpleNamespace(fingerprint="model")


def key_of(files: ScanFiles) -> str:
    return SourceFiles.of(files, Provenance()).key(MODEL)


def test_another_choice_of_series_is_looked_at_again(tmp_path: Path) -> None:
    first, second = tmp_path / "1.dcm", tmp_path / "2.dcm"
    first.write_bytes(b"1")
    second.write_bytes(b"22")
    both = {"flair": tmp_path, "t1": tmp_path}
    keys = {
        key_of(ScanFiles(subject="a", contrasts=both, layout="dicom", slices=slices))
        for slices in ({"t1": (first,), "flair": (second,)}, {"flair": (first,), "t1": (second,)})
    }
    assert len(keys) == 2


def test_a_slice_of_a_folder_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    picture = tmp_path / "1.png"
    picture.write_bytes(b"one")
    files = ScanFiles(subject="a", contrasts={"flair": tmp_path}, layout="x")
    before = key_of(files)
    assert key_of(files) == before
    picture.write_bytes(b"other")
    assert key_of(files) != before


def test_another_scan_of_the_same_name_size_and_time_is_looked_at_again(tmp_path: Path) -> None:
    scan = tmp_path / "flair.nii"
    scan.write_bytes(b"one")
    held = scan.stat()
    files = ScanFiles(subject="a", contrasts={"flair": scan}, layout="x")
    before = SourceFiles.of(files, Provenance())
    scan.write_bytes(b"two")
    os.utime(scan, ns=(held.st_atime_ns, held.st_mtime_ns))
    assert SourceFiles.of(files, Provenance(**asdict(before))).key(MODEL) != before.key(MODEL)


def test_a_scan_that_was_not_touched_is_not_read_again_and_a_copy_is_the_same(
    tmp_path: Path, monkeypatch: Any
) -> None:
    scan = tmp_path / "flair.nii"
    scan.write_bytes(b"one")
    files = ScanFiles(subject="a", contrasts={"flair": scan}, layout="x")
    before = SourceFiles.of(files, Provenance())
    copy = tmp_path / "elsewhere" / "flair.nii"
    copy.parent.mkdir()
    shutil.copy(scan, copy)
    again = SourceFiles.of(replace(files, contrasts={"flair": copy}), Provenance(**asdict(before)))
    assert again.stamp != before.stamp
    assert again.key(MODEL) == before.key(MODEL)
    monkeypatch.delattr("anomri.pipeline.detection.content_digest")
    assert SourceFiles.of(files, Provenance(**asdict(before))) == before


def test_a_full_disk_ends_the_batch_and_is_no_fault_of_the_scan() -> None:
    def work(_: ScanFiles) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull, match="free some space"):
        GuardedTask(work)(ScanFiles(subject="a", contrasts={}, layout="x"))


def test_an_unexpected_error_tells_no_folder_of_the_machine(caplog: Any) -> None:
    def work(_: ScanFiles) -> None:
        raise FileNotFoundError(2, "No such file or directory", "/home/ada/Hans Meier/scan.nii")

    failure, code = GuardedTask(work)(ScanFiles(subject="a", contrasts={}, layout="x"))
    assert code == 3
    assert failure.reason.endswith("No such file or directory: 'scan.nii'")
    assert "in work" in caplog.text
    assert "'scan.nii'" in caplog.text
    for private in ("ada", "Hans", str(Path(__file__).parent)):
        assert private not in failure.reason + caplog.text


def test_nothing_that_a_library_raises_ends_the_batch(caplog: Any) -> None:
    def work(_: ScanFiles) -> None:
        raise AttributeError("no attribute 'StudyDate'")

    failure, code = GuardedTask(work)(ScanFiles(subject="a", contrasts={}, layout="x"))
    assert (failure.subject, code) == ("a", 3)
    assert "unexpected AttributeError" in failure.reason


def test_what_holds_for_all_scans_ends_the_batch() -> None:
    def work(_: ScanFiles) -> None:
        raise MissingPiece("no weights")

    with pytest.raises(MissingPiece):
        GuardedTask(work)(ScanFiles(subject="a", contrasts={}, layout="x"))


def test_a_split_written_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "splits.tsv"
    path.write_bytes(b"\xef\xbb\xbfsubject\tsplit\r\na\ttrain\r\nb\ttest\r\n\r\n")
    assert Selection.of_split(path, "train").subjects == {"a"}
    with pytest.raises(UsageError, match="it has test, train"):
        Selection.of_split(path, "val")
    path.write_bytes(b"subject\tsplit\nM\xfcller\ttrain\n")
    with pytest.raises(UsageError, match="UTF-8, or correct the table"):
        Selection.of_split(path, "train")


def test_a_name_in_two_splits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits.tsv"
    path.write_text("dataset\tsubject\tsplit\none\t01\ttrain\nother\t01\ttest\none\t02\ttest\n")
    for split in ("train", "test"):
        with pytest.raises(UsageError, match="for '01'"):
            Selection.of_split(path, split)
