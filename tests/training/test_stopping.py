"""A signal to all processes of a training ends them with one line and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from anomri.errors import AnomriError
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe
from anomri.training import readable_process_errors
from anomri.training.trainer import quiet

COMMAND = [sys.executable, "-m", "anomri.cli", "train"]


def running(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, number = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(number) == session and state != "Z":
            found.append(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("reached", "number"), [("environment.json", signal.SIGINT), ("metrics.tsv", signal.SIGTERM)]
)
def test_a_signal_to_all_processes_is_one_line_and_leaves_nothing(
    reached: str, number: int, prepared: PreparedFolder, tmp_path: Path, recipe: object
) -> None:
    """While the processes start, and in the middle of an epoch, which starts readers anew."""
    assert callable(recipe)
    chosen: Recipe = recipe(max_epochs=1000, patience=1000)
    (tmp_path / "recipe.yaml").write_text(chosen.to_yaml())
    private = Path(tempfile.mkdtemp())  # of a name so short that sockets may lie in it
    words = ["recipe.yaml", "--data", str(prepared.folder), "-o", "run", "--device", "cpu"]
    process = subprocess.Popen(
        [*COMMAND, *words, "--processes", "2", "--workers", "1"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(private)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 180
    while not (tmp_path / "run" / reached).is_file() and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(2)  # the other processes import what they need, where a signal would be a traceback
    own = running(process.pid)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "anomri: stopped; run the same command again to continue.\n"
    end = time.monotonic() + 10
    while running(process.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert running(process.pid) == []
    private.rmdir()  # fails where anything is left, such as pymp-*
    shared = [path.name for path in Path("/dev/shm").iterdir()]
    assert [name for name in shared if any(f"_{one}_" in name for one in own)] == []
    assert not list((tmp_path / "run").rglob(".writing-*"))


@pytest.mark.parametrize(
    "error",
    [
        ProcessExitedException("process 0 terminated", 0, 1, -9, "SIGKILL"),
        RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed."),
    ],
)
def test_a_killed_process_is_named(error: Exception) -> None:
    with pytest.raises(AnomriError, match="was killed") as caught, readable_process_errors():
        raise error
    assert "Next: " in str(caught.value)


def test_what_another_process_says_to_people_stays_so() -> None:
    told = "\n\n-- Process 0 terminated with the following error:\nTraceback:\n  File x\n"
    told += "anomri.errors.UsageError: run: no. Next: do.\n"
    with pytest.raises(AnomriError) as caught, readable_process_errors():
        raise ProcessRaisedException(told, 0, 12)
    assert (str(caught.value), caught.value.exit_code) == ("run: no. Next: do.", 2)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), readable_process_errors():
        raise RuntimeError("shapes differ")


def test_a_thread_of_tensorboard_writes_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise FileNotFoundError("run/logs/events")

    before = threading.excepthook
    with quiet():
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
    assert capsys.readouterr().err == ""
    assert threading.excepthook is before
