"""Weights on disk: safetensors, never a pickle, with the network's name as metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from anomri.errors import AnomriError, DamagedFile
from anomri.files import undamaged, write_bytes
from anomri.models.base import Network

GET_AGAIN = "copy the weights again, or train again"


def save_weights(network: Network, path: Path) -> None:
    """Write the weights of a network atomically."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    metadata = {"family": network.name, "anomri_version": version("anomri")}
    # As bytes: the library's own writer reports a full disk less clearly.
    write_bytes(path, _with_ordered_metadata(save(tensors, metadata=metadata)))


def _with_ordered_metadata(content: bytes) -> bytes:
    """Return safetensors with sorted metadata; their order, and the file's hash, is random else."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return content[:8] + text.ljust(size) + content[8 + size :]


def load_weights(network: Network, path: Path) -> None:
    """Load the weights of ``path`` into a network of the same architecture.

    Raises:
        DamagedFile: the file cannot be read, or a parameter is not finite.
        AnomriError: the file holds the weights of another network.
    """
    tensors, metadata = _read(path)
    found, expected = metadata.get("family", ""), network.name
    if found and expected and found != expected:
        raise _mismatch(path, f"weights of the family '{expected}'", f"those of '{found}'")
    _check_shapes(path, tensors, network.state_dict())
    _check_finite(path, tensors, [name for name, _ in network.named_parameters()])
    network.load_state_dict(tensors)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors and metadata."""
    guard = undamaged(path, what="weights as safetensors", next_step=GET_AGAIN)
    with guard, safe_open(path, framework="pt") as file:
        names = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
        metadata = file.metadata() or {}
    return tensors, metadata


def _check_finite(path: Path, tensors: Mapping[str, Tensor], parameters: Iterable[str]) -> None:
    """Check that parameters are finite; buffers may hold NaN, such as an unfilled window.

    Raises:
        DamagedFile: a parameter is NaN or infinite.
    """
    for name in parameters:
        if not torch.isfinite(tensors[name]).all():
            raise DamagedFile(
                path,
                expected="finite numbers",
                got=f"NaN or infinity in '{name[:80]}'",
                next_step=GET_AGAIN,
            )


def _check_shapes(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for name in sorted(found.keys() | expected.keys()):
        shapes = [
            tuple(tensors[name].shape) if name in tensors else None for tensors in (expected, found)
        ]
        if shapes[0] != shapes[1]:
            wanted, got = (f"shape {shape}" if shape is not None else "none" for shape in shapes)
            raise _mismatch(path, f"tensor '{name}': {wanted}", got)


def _mismatch(path: Path, expected: str, got: str) -> AnomriError:
    return AnomriError(
        f"{path.name}: expected {expected}, got {got}. "
        "Next: use the recipe.yaml in the folder of the weights, or train again."
    )
