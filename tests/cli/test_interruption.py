"""An interrupted command says how to continue."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri import cli, pipeline
from anomri.cli import commands
from anomri.datasets import find
from anomri.detector import load
from anomri.errors import UsageError
from anomri.files import write_text


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_interruption_tells_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "report", interrupted)
    monkeypatch.setattr("sys.argv", ["anomri", "report", "."])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert "run the same command again" in " ".join(capsys.readouterr().err.split())


def test_a_job_that_is_cancelled_tidies_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cancelled(*_: object, **__: object) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)  # not reached

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(pipeline, "report", cancelled)
    monkeypatch.setattr("sys.argv", ["anomri", "report", "."])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert list(tmp_path.iterdir()) == []
    assert "run the same command again" in " ".join(capsys.readouterr().err.split())
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("number", "code"), [(errno.EACCES, 2), (errno.ENOSPC, 1)])
def test_a_folder_that_cannot_be_written_to_is_named(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "results/page.html")

    monkeypatch.setattr(pipeline, "report", fails)
    monkeypatch.setattr("sys.argv", ["anomri", "report", "."])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    said = " ".join(capsys.readouterr().err.split())
    assert f"results/page.html: {os.strerror(number)}. " in said
    assert "Next: " in said


@pytest.mark.parametrize("name", ["run/logs/events", b"run/logs/events"])  # TensorBoard: bytes
def test_a_folder_that_was_removed_meanwhile_is_named(
    name: str | bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    monkeypatch.setattr(pipeline, "report", fails)
    monkeypatch.setattr("sys.argv", ["anomri", "report", "."])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "anomri: run/logs/events: was removed or moved while the command ran" in said


def test_a_folder_in_the_place_of_a_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page").mkdir()

    def report(*_: object, **__: object) -> None:
        write_text(tmp_path / "page", "text")

    monkeypatch.setattr(pipeline, "report", report)
    monkeypatch.setattr("sys.argv", ["anomri", "report", "."])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "page: Is a directory" in " ".join(capsys.readouterr().err.split())


def test_another_end_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["anomri", "report"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2


def test_a_detection_that_was_killed_at_once_is_no_source_of_the_next_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), tmp_path / "a_flair.nii")
    out = tmp_path / "a"
    monkeypatch.setattr("anomri.pipeline.detection.run_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.detect(find(tmp_path), load("intensity"), out)
    (out / "sub-a" / "anat").mkdir(parents=True)
    (out / "sub-a" / "anat" / "sub-a_desc-anomaly_flair.nii.gz").touch()
    (scan,) = find(tmp_path).scans
    assert scan.contrasts == {"flair": tmp_path / "a_flair.nii"}


def test_a_signal_while_modules_load_ends_the_process_at_once() -> None:
    code = """
import os, signal, types
from anomri.cli.signals import handled_signals, load_exports

class Slow(types.ModuleType):
    __all__ = ["export"]

    @property
    def export(self):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:  # as a library may do around an import
            pass

with handled_signals() as handler:
    handler.interrupts = True
    load_exports(Slow("slow"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 130
    assert b"run the same command again" in done.stderr


def test_an_interruption_while_an_error_is_written_ends_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise UsageError("nothing there")

    monkeypatch.setattr(pipeline, "report", fails)
    monkeypatch.setattr(commands, "failure", interrupted)
    monkeypatch.setattr("sys.argv", ["anomri", "report", "."])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_python_ends_is_answered_as_before(number: int) -> None:
    code = f"""
import atexit, os, signal

signal.signal({int(number)}, signal.SIG_DFL)  # a shell ignores SIGINT for jobs in the background
from anomri.cli import commands, main

# As by a signal while a library stops its threads.
commands.run = lambda: (print("result"), atexit.register(os.kill, os.getpid(), {int(number)}))
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 130
    assert done.stderr.count(b"\n") == 1
    assert done.stdout.strip() == b"result"
