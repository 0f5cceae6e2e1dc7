"""A network as a table: what each layer gives out, and what the whole of it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from anomri.models.base import Network, Reconstructor, Segmenter

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
    """What a network takes to look at one image.

    Attributes:
        parameters: numbers it learns, an opponent's included.
        multiply_adds: of convolutions and matrix products.
        activation_bytes: float32 outputs of all layers, what training keeps per image.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int


def summary(network: Network) -> list[LayerSummary]:
    """List the layers that looking at an image uses, in the order in which it uses them."""
    rows: list[LayerSummary] = []

    def note(name: str, layer: nn.Module, output: Tensor) -> None:
        learnt = sum(parameter.numel() for parameter in layer.parameters())
        in_place = bool(getattr(layer, "inplace", False))
        shape = tuple(output.shape[1:])
        rows.append(LayerSummary(name, type(layer).__name__, shape, learnt, in_place))

    with _watched(network, note):
        _look_at_one(network)
    return rows


def cost(network: Network) -> Cost:
    """Count what one image costs; a network on the meta device costs next to nothing to ask."""
    with FlopCounterMode(display=False) as counter:
        _look_at_one(network)
    kept = sum(torch.Size(row.shape).numel() for row in summary(network) if not row.in_place)
    return Cost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        activation_bytes=kept * FLOAT_BYTES,
    )


def _look_at_one(network: Network) -> None:
    """Reconstruct or segment an empty image, and leave the network as it was."""
    was_training = network.training
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    image = torch.zeros(1, network.channels, *network.size, device=device)
    try:
        with torch.no_grad():
            _function_of(network.eval())(image)
    finally:
        network.train(was_training)


def _function_of(network: Network) -> Callable[[Tensor], Tensor]:
    """Return what a network does with images outside training."""
    if isinstance(network, Segmenter):
        return network.segment
    if isinstance(network, Reconstructor):
        return network.reconstruct
    raise TypeError(f"{type(network).__name__}: neither a family nor a segmenter")


@contextmanager
def _watched(network: Network, note: Callable[[str, nn.Module, Tensor], None]) -> Iterator[None]:
    """Call ``note`` with the name, the layer and the output of every layer without parts."""
    handles = [
        layer.register_forward_hook(lambda layer, _, out, name=name: note(name, layer, out))
        for name, layer in network.named_modules()
        if name and not any(layer.children())
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
