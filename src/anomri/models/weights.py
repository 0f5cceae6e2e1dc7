"""Weights on disk: safetensors, never a pickle, with the family's name beside them."""

from __future__ import annotations

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


def save_weights(family: Network, path: Path) -> None:
    """Write the weights; the file appears whole or not at all."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in family.state_dict().items()}
    about = {"family": family.name, "anomri_version": version("anomri")}
    # As bytes: of a full disk the library's own writer says less, in an error of its own.
    write_bytes(path, save(tensors, metadata=about))


def load_weights(family: Network, path: Path) -> None:
    """Put the weights of ``path`` into a family that was built in the same way.

    Raises:
        DamagedFile: the file cannot be read, or holds numbers that are none.
        AnomriError: it holds the weights of another network.
    """
    tensors, about = _read(path)
    found, expected = about.get("family", ""), family.name
    if found and expected and found != expected:
        raise _mismatch(path, f"weights of the family '{expected}'", f"those of '{found}'")
    _check_shapes(path, tensors, family.state_dict())
    _refuse_not_finite(path, tensors, [name for name, _ in family.named_parameters()])
    family.load_state_dict(tensors)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    guard = undamaged(path, what="weights as safetensors", next_step=GET_AGAIN)
    with guard, safe_open(path, framework="pt") as file:
        names = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
        about = file.metadata() or {}
    return tensors, about


def _refuse_not_finite(
    path: Path, tensors: Mapping[str, Tensor], parameters: Iterable[str]
) -> None:
    """Raise where a parameter is NaN or infinite; buffers may be, such as a history not yet full.

    Raises:
        DamagedFile: one is.
    """
    for name in parameters:
        if not torch.isfinite(tensors[name]).all():
            raise DamagedFile(
                path,
                expected="numbers",
                got=f"NaN or infinite ones in '{name[:80]}'",
                next_step=GET_AGAIN,
            )


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
