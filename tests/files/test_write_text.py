"""Atomic writing of text files, with the permissions of their folder."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anomri.files import replacing_text, write_text
from anomri.preprocessing.prepared_folder.storage import write_json


def interrupted(path: Path) -> None:
    with replacing_text(path) as stream:
        stream.write("half")
        raise KeyboardInterrupt


def test_what_fails_leaves_the_old_text_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    write_text(path, "old")
    with pytest.raises(TypeError):
        write_text(path, b"no text")  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions mean something else there")
def test_a_private_folder_stays_private(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "a.tsv", "patients")
    finally:
        os.umask(before)
    assert (tmp_path / "a.tsv").stat().st_mode & 0o777 == 0o600


def test_jobs_that_begin_together_write_one_header(tmp_path: Path) -> None:
    path = tmp_path / "prepared.json"

    def job(number: int) -> set[int]:
        seen = set()
        for _ in range(100):
            write_json(path, {"same": [number] * 100})
            seen |= set(json.loads(path.read_text("utf-8"))["same"])
        return seen

    with ThreadPoolExecutor(4) as jobs:
        assert set().union(*jobs.map(job, range(4))) <= set(range(4))
    assert list(tmp_path.iterdir()) == [path]
    assert len(json.loads(path.read_text())["same"]) == 100
