"""Choice of the device by name, and one-line errors for unavailable devices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from anomri.errors import UsageError
from anomri.models import available_devices, choose_device, limit_threads, reason_for
from anomri.models.devices import THREAD_VARIABLES


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("no_accelerator")
@pytest.mark.parametrize(
    "name", ["mps", "cuda", "cuda:7", "cuda:x", "nonsense", "meta", "cpu:3", ""]
)
def test_an_unavailable_device_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)
    assert f"'{name}'" in str(caught.value)
    assert "machine has: cpu" in str(caught.value)


@pytest.mark.usefixtures("no_accelerator")
def test_the_cpu_is_always_available() -> None:
    assert available_devices() == ["cpu"]
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("no_accelerator")
def test_a_failing_driver_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("driver too old\n" + "a line of the traceback\n" * 150)

    monkeypatch.setattr(torch, "zeros", fail)
    with pytest.raises(UsageError, match="driver too old") as caught:
        choose_device("cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_accelerator")
def test_detect_and_train_end_with_exit_code_2(tmp_path: Path) -> None:
    from anomri.detector import load
    from anomri.recipe import Training
    from anomri.training.trainer import Machine, make_trainer

    with pytest.raises(UsageError):
        load("intensity", device="mps")
    with pytest.raises(UsageError) as caught:
        make_trainer(Training(), tmp_path, Machine("mps"), progress=False)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "devices", "reason"),
    [
        ("auto", ["cpu"], "cpu, because PyTorch finds no GPU"),
        ("auto", ["cpu", "cuda:0"], "cpu, the fastest of cpu, cuda:0"),
        ("cpu", ["cpu", "cuda:0"], "cpu, as requested"),
    ],
)
def test_the_reason_for_a_device_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, devices: list[str], reason: str
) -> None:
    monkeypatch.setattr("anomri.models.devices.available_devices", lambda: devices)
    assert reason_for(name, torch.device("cpu")).startswith(reason)


def test_operations_that_mps_lacks_run_on_the_cpu() -> None:
    code = "import anomri, os, sys; print(os.environ['PYTORCH_ENABLE_MPS_FALLBACK'], *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    value, *modules = done.stdout.split()
    assert value == "1"
    assert "torch" not in modules  # which reads it when it is imported


def test_threads_are_limited_here_and_in_child_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, "7")
    before = torch.get_num_threads()
    limit_threads(1)
    assert {os.environ[variable] for variable in THREAD_VARIABLES} == {"1"}
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
