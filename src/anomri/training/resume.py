"""Checkpoints without pickles: tensors as safetensors, everything else as JSON in its header.

A checkpoint consists of nested dictionaries, lists and tuples. Tensors are replaced by references;
tuples and dictionaries, whose keys may not be strings, are tagged. The file is replaced atomically,
so that the former one survives a killed process.
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
        """Write ``checkpoint`` atomically."""
        del storage_options
        tensors: dict[str, Tensor] = {}
        tree = pack(checkpoint, tensors)
        text = json.dumps(tree)
        metadata = {TREE: text, DIGEST: _digest(text, tensors)}
        write_bytes(Path(path), save(tensors, metadata=metadata))

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
            metadata, names = file.metadata() or {}, list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
            # Older states have no digest.
            if metadata.get(DIGEST, digest := _digest(metadata[TREE], tensors)) != digest:
                raise ValueError("changed since it was written")
            return dict(unpack(json.loads(metadata[TREE]), tensors))

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def _digest(tree: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a tree and its tensors, which detects any change of the file."""
    digest = hashlib.sha256(tree.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Convert ``value`` to JSON types; its tensors are added to ``tensors``.

    Raises:
        TypeError: it contains something that is neither plain data nor a tensor.
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone().contiguous()  # safetensors: no shared memory
        return {TENSOR: name}
    if isinstance(value, Mapping):
        return {ITEMS: [[pack(key, tensors), pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {TUPLE: [pack(item, tensors) for item in value]}
    if isinstance(value, list):
        return [pack(item, tensors) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}: {value!r:.80}")


def unpack(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Restore what :func:`pack` converted."""
    if isinstance(tree, list):
        return [unpack(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((tag, content),) = tree.items()
    if tag == TENSOR:
        return tensors[content]
    if tag == TUPLE:
        return tuple(unpack(item, tensors) for item in content)
    return {unpack(key, tensors): unpack(item, tensors) for key, item in content}
