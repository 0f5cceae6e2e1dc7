"""A killed process leaves no worker and nothing that the next run cannot go on from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anomri.detector import load
from anomri.errors import UsageError
from anomri.files import kill_with_children, write_text
from anomri.pipeline.model_copies import copy_model

WORKER = "import os, time; from anomri.files.processes import exit_with_parent; "
WORKER += "exit_with_parent(os.getppid()); "
WORKER += "print(os.getpid(), flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORKER!r}])"
# Starts children all the time, as a training does that starts readers for each epoch.
FORKING = "import os, time\nprint('ready', flush=True)\nfor _ in range(300):\n"
FORKING += (
    "    if os.fork() == 0: time.sleep(60); os._exit(0)\n    time.sleep(0.002)\ntime.sleep(60)"
)
# A job in the background ignores SIGINT; its children would, too.
LOADING = "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
LOADING += "from anomri.cli.signals import handled_signals\n"
LOADING += "with handled_signals(): print('ready', flush=True); time.sleep(60)"


def test_a_worker_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    # The pipe closes when nobody holds it any more: neither parent nor worker.
    began = time.monotonic()
    assert parent.stdout.read() == b""
    assert time.monotonic() - began < 30, worker
    parent.stdout.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes that fork there")
def test_a_process_is_killed_with_the_children_that_it_is_just_starting() -> None:
    with subprocess.Popen([sys.executable, "-c", FORKING], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"ready\n"
        time.sleep(0.1)
        kill_with_children([parent.pid])
        began = time.monotonic()
        assert parent.stdout.read() == b""  # closes when the last child has ended
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_modules_load_is_one_line(number: signal.Signals) -> None:
    words = [sys.executable, "-c", LOADING]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, text=True, stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        try:
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said == "anomri: stopped; run the same command again to continue.\n"


def test_the_command_line_answers_before_it_imports_what_takes_time() -> None:
    code = "import sys, anomri, anomri.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("last", range(4))
def test_a_model_whose_copy_was_killed_is_refused_and_copied_again(
    last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, written = tmp_path / "run", 0

    def killed(path: Path, text: str) -> None:
        nonlocal written
        if written == last:
            raise KeyboardInterrupt
        written += 1
        write_text(path, text)

    run.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("anomri.pipeline.model_copies.write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            copy_model("default", run)
        with pytest.raises(UsageError, match="Next: "):
            load(run, device="cpu")
    copy_model("default", run)
    assert load(run, device="cpu").fingerprint == load("default", device="cpu").fingerprint
