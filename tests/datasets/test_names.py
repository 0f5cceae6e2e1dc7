"""File names that are not UTF-8, and broken links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anomri.datasets import find
from anomri.errors import Failure, UsageError
from anomri.files import read_tsv
from anomri.reporting import write_tables


def test_a_name_in_latin_1_is_read_as_such(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode("M\xfcller".encode("latin-1"))
    folder.mkdir()
    (folder / "flair.nii.gz").touch()
    (scan,) = find(tmp_path).scans
    assert (scan.subject, scan.label) == ("Müller", "sub-Mller")
    assert scan.contrasts["flair"].is_file()


def test_a_file_of_such_a_name_costs_no_table(tmp_path: Path) -> None:
    failure = Failure(
        subject="a",
        label="sub-a",
        file="M\udcfcller.nii",
        reason="damaged",
        next_step="copy it again",
    )
    write_tables(tmp_path, [failure])
    assert read_tsv(tmp_path / "failures.tsv")[0]["subject"] == "a"
    assert len(read_tsv(tmp_path / "summary.tsv")) == 1


def test_the_error_for_broken_links_suggests_to_fetch_them(tmp_path: Path) -> None:
    path = tmp_path / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    path.parent.mkdir(parents=True)
    path.symlink_to("../../.git/annex/objects/aa/bb/1")
    with pytest.raises(UsageError, match=r"sub-01_FLAIR\.nii\.gz: a broken link.*fetch"):
        find(tmp_path)
