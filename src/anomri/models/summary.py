"""A network as a table: what each layer gives out, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anomri.family import Family


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One layer without parts.

    Attributes:
        name: its path inside the family.
        kind: its class.
        shape: (C, *space) that it gives out for one image.
        parameters: numbers it learns.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def summary(family: Family) -> list[LayerSummary]:
    """List the layers that ``reconstruct`` uses, in the order in which it uses them."""
    rows: list[LayerSummary] = []

    def note(name: str, layer: nn.Module, output: Tensor) -> None:
        learnt = sum(parameter.numel() for parameter in layer.parameters())
        rows.append(LayerSummary(name, type(layer).__name__, tuple(output.shape[1:]), learnt))

    handles = [
        layer.register_forward_hook(lambda layer, _, out, name=name: note(name, layer, out))
        for name, layer in family.named_modules()
        if name and not any(layer.children())
    ]
    was_training = family.training
    device = next((p.device for p in family.parameters()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            family.eval().reconstruct(torch.zeros(1, family.channels, *family.size, device=device))
    finally:
        family.train(was_training)
        for handle in handles:
            handle.remove()
    return rows
