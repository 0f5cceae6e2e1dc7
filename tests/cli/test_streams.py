"""A command whose words nobody can hear still does its work and ends with the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anomri.cli import main
from anomri.files import read_tsv

DETECT = ["anomri", "detect", "-m", "intensity", "--device", "cpu"]
# Says something, opens a file, and then writes to standard error as a library does.
CLOSED = """
import os, sys
from anomri.cli.streams import tolerant_errors
with tolerant_errors():
    print("said", file=sys.stderr)
    with open(sys.argv[1], "w") as result:
        result.write("result")
        result.flush()
        os.write(2, b"a library's message")
"""


STOPPED = """
import os, signal
from anomri.cli.signals import handled_signals
with handled_signals():
    os.kill(os.getpid(), signal.SIGTERM)
"""


@contextmanager
def full() -> Iterator[int]:
    with Path("/dev/full").open("w", encoding="utf-8") as stream:
        yield stream.fileno()


@contextmanager
def unread() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def standard_error(stream: int) -> Iterator[None]:
    """Let this process write its errors to another file."""
    kept = os.dup(2)
    os.dup2(stream, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("place", [full, unread])
def test_tables_are_written_where_errors_cannot_be(
    place: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert callable(place)
    (tmp_path / "scans" / "a").mkdir(parents=True)
    (tmp_path / "scans" / "a" / "flair.nii").touch()
    words = [*DETECT, str(tmp_path / "scans"), "-o", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setattr("sys.stderr", sys.__stderr__)
    with place() as stream, standard_error(stream), pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 3
    assert capsys.readouterr().out.strip().endswith("report.html")
    assert [row["subject"] for row in read_tsv(tmp_path / "out" / "failures.tsv")] == ["a"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("place", [full, unread])
def test_a_stop_that_nobody_hears_has_its_own_exit_code(place: object) -> None:
    assert callable(place)
    with place() as stream:
        done = subprocess.run([sys.executable, "-c", STOPPED], stderr=stream, check=False)
    assert done.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="no such inheritance of files there")
def test_no_result_takes_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    words = ["sh", "-c", '"$0" -c "$1" "$2" <&- >&- 2>&-', sys.executable, CLOSED]
    done = subprocess.run([*words, str(tmp_path / "result")], check=False)
    assert done.returncode == 0
    assert (tmp_path / "result").read_text() == "result"
