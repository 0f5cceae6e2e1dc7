"""Computing devices by name, and which of them this machine has."""

from __future__ import annotations

import os

import torch

from anomri.errors import UsageError

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
KINDS = ("cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """Return a device by name; ``auto`` is the fastest available.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        UsageError: the device does not exist or cannot be used.
    """
    available = available_devices()
    if name == "auto":
        return torch.device(available[-1].partition(":")[0])
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError) as error:
        raise _refusal(name, available) from error
    if device.type not in KINDS or (device.index or 0) >= _count(device.type):
        raise _refusal(name, available)
    _check_usable(device, name)
    return device


def reason_for(name: str, device: torch.device) -> str:
    """Return in words why a device was taken.

    >>> reason_for("cpu", torch.device("cpu"))
    'cpu, as requested'

    Args:
        name: as for :func:`choose_device`.
        device: that it returned.
    """
    if name != "auto":
        return f"{device}, as requested"
    available = available_devices()
    if len(available) == 1:
        return f"{device}, because PyTorch finds no GPU on this machine"
    return f"{device}, the fastest of {', '.join(available)}"


def limit_threads(count: int) -> None:
    """Let this process and those that it starts use at most ``count`` threads each."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(count)
    torch.set_num_threads(count)


def available_devices() -> list[str]:
    """Return the names of this machine's devices, the fastest last.

    >>> available_devices()[0]
    'cpu'
    """
    cuda = [f"cuda:{index}" for index in range(_count("cuda"))]
    return ["cpu", *(["mps"] if _count("mps") else []), *cuda]


def _count(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(torch.backends.mps.is_available()) if kind == "mps" else 1


def _check_usable(device: torch.device, name: str) -> None:
    """Allocate one number: a mismatched driver or a full device fails only here."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).strip().partition("\n")[0][:200]
        raise UsageError(
            f"device '{name}': cannot be used: {first_line}. Next: use `auto` or `cpu`."
        ) from error


def _refusal(name: str, available: list[str]) -> UsageError:
    return UsageError(
        f"device '{name}': expected a device that this machine has: {', '.join(available)}. "
        "Next: use `auto`."
    )
