"""What decides whether a scan is looked at again, and what is told of one that failed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anomri.errors import MissingPiece, UsageError
from anomri.pipeline import Selection
from anomri.pipeline.batch import Attempt
from anomri.pipeline.detection import _key
from anomri.scan import ScanFiles

MODEL: Any = SimpleNamespace(fingerprint="model")


def test_another_choice_of_series_is_looked_at_again(tmp_path: Path) -> None:
    first, second = tmp_path / "1.dcm", tmp_path / "2.dcm"
    first.write_bytes(b"1")
    second.write_bytes(b"22")
    both = {"flair": tmp_path, "t1": tmp_path}
    keys = {
        _key(ScanFiles(subject="a", contrasts=both, layout="dicom", slices=slices), MODEL)
        for slices in ({"t1": (first,), "flair": (second,)}, {"flair": (first,), "t1": (second,)})
    }
    assert len(keys) == 2


def test_a_slice_of_a_folder_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    picture = tmp_path / "1.png"
    picture.write_bytes(b"one")
    files = ScanFiles(subject="a", contrasts={"flair": tmp_path}, layout="x")
    before = _key(files, MODEL)
    assert _key(files, MODEL) == before
    picture.write_bytes(b"other")
    assert _key(files, MODEL) != before


def test_an_unexpected_error_tells_no_folder_of_the_machine(caplog: Any) -> None:
    def work(_: ScanFiles) -> None:
        raise FileNotFoundError(2, "No such file or directory", "/home/ada/Hans Meier/scan.nii")

    failure, code = Attempt(work)(ScanFiles(subject="a", contrasts={}, layout="x"))
    assert code == 3
    assert failure.reason.endswith("No such file or directory: 'scan.nii'")
    assert "ada" not in failure.reason


def test_nothing_that_a_library_raises_ends_the_batch(caplog: Any) -> None:
    def work(_: ScanFiles) -> None:
        raise AttributeError("no attribute 'StudyDate'")

    failure, code = Attempt(work)(ScanFiles(subject="a", contrasts={}, layout="x"))
    assert (failure.subject, code) == ("a", 3)
    assert "unexpected AttributeError" in failure.reason


def test_what_holds_for_all_scans_ends_the_batch() -> None:
    def work(_: ScanFiles) -> None:
        raise MissingPiece("no weights")

    with pytest.raises(MissingPiece):
        Attempt(work)(ScanFiles(subject="a", contrasts={}, layout="x"))


def test_a_split_written_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "splits.tsv"
    path.write_bytes(b"\xef\xbb\xbfsubject\tsplit\r\na\ttrain\r\nb\ttest\r\n\r\n")
    assert Selection.of_split(path, "train").subjects == {"a"}
    with pytest.raises(UsageError, match="it has test, train"):
        Selection.of_split(path, "val")
    path.write_bytes(b"subject\tsplit\nM\xfcller\ttrain\n")
    with pytest.raises(UsageError, match="UTF-8"):
        Selection.of_split(path, "train")


def test_a_name_in_two_splits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits.tsv"
    path.write_text("dataset\tsubject\tsplit\none\t01\ttrain\nother\t01\ttest\none\t02\ttest\n")
    for split in ("train", "test"):
        with pytest.raises(UsageError, match="for '01'"):
            Selection.of_split(path, split)
