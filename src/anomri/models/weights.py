"""Weights on disk: safetensors, never a pickle, with the family's name beside them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from anomri.errors import AnomriError
from anomri.family import Network
from anomri.files import write_bytes


def save_weights(family: Network, path: Path) -> None:
    """Write the weights; the file appears whole or not at all."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in family.state_dict().items()}
    about = {"family": family.name, "anomri_version": version("anomri")}
    # As bytes: of a full disk the library's own writer says less, in an error of its own.
    write_bytes(path, save(tensors, metadata=about))


def load_weights(family: Network, path: Path) -> None:
    """Put the weights of ``path`` into a family that was built in the same way.

    Raises:
        AnomriError: the file cannot be read, or holds the weights of another network.
    """
    tensors, about = _read(path)
    found, expected = about.get("family", ""), family.name
    if found and expected and found != expected:
        raise _mismatch(path, f"weights of the family '{expected}'", f"those of '{found}'")
    _check_shapes(path, tensors, family.state_dict())
    family.load_state_dict(tensors)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise _mismatch(path, "a safetensors file", f"one that cannot be read ({error})") from error


def _check_shapes(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for name in sorted(found.keys() | expected.keys()):
        shapes = [tuple(side[name].shape) if name in side else None for side in (expected, found)]
        if shapes[0] != shapes[1]:
            wanted, got = (f"shape {shape}" if shape is not None else "none" for shape in shapes)
            raise _mismatch(path, f"tensor '{name}': {wanted}", got)


def _mismatch(path: Path, expected: str, got: str) -> AnomriError:
    return AnomriError(
        f"{path.name}: expected {expected}, got {got}. "
        "Next: use the recipe.yaml that lies beside the weights, or train again."
    )
