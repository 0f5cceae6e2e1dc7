"""Choice of the device by name, and one-line errors for unavailable devices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from anomri.errors import UsageError
from anomri.models import available_devices, choose_device


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
