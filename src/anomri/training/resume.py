"""Checkpoints without pickles: tensors as safetensors, everything else as JSON in its header.

A checkpoint is a nest of dictionaries, lists and tuples. Each tensor in it moves to a place of its
own and leaves a reference behind; what JSON has no word for (tuples, keys that are no strings) is
tagged. One file, written beside its place and then renamed, so that a kill leaves the former one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from anomri.files import undamaged, write_bytes

TREE, DIGEST = "tree", "sha256"
ANEW = "delete the run's `resume` folder and train again"
TENSOR, TUPLE, ITEMS = "@tensor", "@tuple", "@items"


class SafetensorsIO(CheckpointIO):
    """Writes and reads Lightning's checkpoints as safetensors."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint``; the file appears whole or not at all."""
        del storage_options
        tensors: dict[str, Tensor] = {}
        tree = pack(checkpoint, tensors)
        text = json.dumps(tree)
        about = {TREE: text, DIGEST: _digest(text, tensors)}
        write_bytes(Path(path), save(tensors, metadata=about))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; nothing in it is ever executed.

        Raises:
            DamagedFile: the file is not one of these checkpoints, or was changed.
        """
        del map_location, weights_only
        guard = undamaged(Path(path), what="the state of an unfinished training", next_step=ANEW)
        with guard, safe_open(path, framework="pt") as file:
            about, names = file.metadata() or {}, list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
            # Older states have no digest.
            if about.get(DIGEST, digest := _digest(about[TREE], tensors)) != digest:
                raise ValueError("changed since it was written")
            return dict(unpack(json.loads(about[TREE]), tensors))

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def _digest(tree: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a tree and its tensors.

    What Lightning does with a state that was changed, be it by one bit, nobody can foresee.
    """
    digest = hashlib.sha256(tree.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return ``value`` in JSON's words; its tensors go into ``tensors``.

    Raises:
        TypeError: something in it is neither data nor a tensor.
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone().contiguous()  # no two share their memory
        return {TENSOR: name}
    if isinstance(value, Mapping):
        return {ITEMS: [[pack(key, tensors), pack(one, tensors)] for key, one in value.items()]}
    if isinstance(value, tuple):
        return {TUPLE: [pack(one, tensors) for one in value]}
    if isinstance(value, list):
        return [pack(one, tensors) for one in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}: {value!r:.80}")


def unpack(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo :func:`pack`."""
    if isinstance(tree, list):
        return [unpack(one, tensors) for one in tree]
    if not isinstance(tree, dict):
        return tree
    ((tag, content),) = tree.items()
    if tag == TENSOR:
        return tensors[content]
    if tag == TUPLE:
        return tuple(unpack(one, tensors) for one in content)
    return {unpack(key, tensors): unpack(one, tensors) for key, one in content}
