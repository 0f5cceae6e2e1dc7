"""A network as a table: what each layer gives out, and what the whole of it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from anomri.family import Family

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One layer without parts.

    Attributes:
        name: its path inside the family.
        kind: its class.
        shape: (C, *space) that it gives out for one image.
        parameters: numbers it learns.
        in_place: it overwrites what it was given.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    in_place: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a family takes to reconstruct one image.

    Attributes:
        parameters: numbers it learns, an opponent's included.
        multiply_adds: of convolutions and matrix products.
        activation_bytes: float32 outputs of all layers, what training keeps per image.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int


def summary(family: Family) -> list[LayerSummary]:
    """List the layers that ``reconstruct`` uses, in the order in which it uses them."""
    rows: list[LayerSummary] = []

    def note(name: str, layer: nn.Module, output: Tensor) -> None:
        learnt = sum(parameter.numel() for parameter in layer.parameters())
        in_place = bool(getattr(layer, "inplace", False))
        shape = tuple(output.shape[1:])
        rows.append(LayerSummary(name, type(layer).__name__, shape, learnt, in_place))

    with _watched(family, note):
        _reconstruct_one(family)
    return rows


def cost(family: Family) -> Cost:
    """Count what one image costs; a family on the meta device costs next to nothing to ask."""
    with FlopCounterMode(display=False) as counter:
        _reconstruct_one(family)
    kept = sum(torch.Size(row.shape).numel() for row in summary(family) if not row.in_place)
    return Cost(
        parameters=sum(parameter.numel() for parameter in family.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        activation_bytes=kept * FLOAT_BYTES,
    )


def _reconstruct_one(family: Family) -> None:
    """Reconstruct an empty image, and leave the family as it was."""
    was_training = family.training
    device = next((p.device for p in family.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            family.eval().reconstruct(torch.zeros(1, family.channels, *family.size, device=device))
    finally:
        family.train(was_training)


@contextmanager
def _watched(family: Family, note: Callable[[str, nn.Module, Tensor], None]) -> Iterator[None]:
    """Call ``note`` with the name, the layer and the output of every layer without parts."""
    handles = [
        layer.register_forward_hook(lambda layer, _, out, name=name: note(name, layer, out))
        for name, layer in family.named_modules()
        if name and not any(layer.children())
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
