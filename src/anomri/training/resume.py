"""Checkpoints without pickles: tensors as safetensors, everything else as JSON in its header.

A checkpoint is a nest of dictionaries, lists and tuples. Each tensor in it moves to a place of its
own and leaves a reference behind; what JSON has no word for (tuples, keys that are no strings) is
tagged. One file, written beside its place and then renamed, so that a kill leaves the former one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from anomri.errors import UsageError
from anomri.files import write_bytes

TREE = "tree"
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
        write_bytes(Path(path), save(tensors, metadata={TREE: json.dumps(tree)}))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; nothing in it is ever executed.

        Raises:
            UsageError: the file is not one of these checkpoints.
        """
        del map_location, weights_only
        try:
            with safe_open(path, framework="pt") as file:
                tree = json.loads((file.metadata() or {})[TREE])
                names = list(file.keys())
                checkpoint = unpack(tree, {name: file.get_tensor(name) for name in names})
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise UsageError(
                f"{Path(path).name}: expected the state of an unfinished training, got a file "
                f"that cannot be read ({error}). Next: delete the run's `resume` folder."
            ) from error
        return dict(checkpoint)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


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
