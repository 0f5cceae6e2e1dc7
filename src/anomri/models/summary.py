"""Summary of a network: its layers, parameters, operations and memory."""

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
    """One elementary layer.

    Attributes:
        name: path of the module in the network.
        kind: name of its class.
        shape: (C, *space) of its output for one image.
        parameters: number of trainable parameters.
        in_place: whether it overwrites its input.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    in_place: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of a network for one image.

    Attributes:
        parameters: number of trainable parameters, including a discriminator's.
        multiply_adds: multiply-adds of convolutions and matrix products.
        activation_bytes: size of the float32 outputs of all layers, which training keeps.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int


def summary(network: Network) -> list[LayerSummary]:
    """List the layers that inference on an image uses, in order of execution."""
    layers: list[LayerSummary] = []

    def record(name: str, layer: nn.Module, output: Tensor) -> None:
        parameters = sum(parameter.numel() for parameter in layer.parameters())
        in_place = bool(getattr(layer, "inplace", False))
        shape = tuple(output.shape[1:])
        layers.append(LayerSummary(name, type(layer).__name__, shape, parameters, in_place))

    with _hooked(network, record):
        _run_on_empty_image(network)
    return layers


def cost(network: Network) -> Cost:
    """Count parameters, operations and memory of one image; fast for a network on ``meta``."""
    with FlopCounterMode(display=False) as counter:
        _run_on_empty_image(network)
    kept = sum(torch.Size(row.shape).numel() for row in summary(network) if not row.in_place)
    return Cost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        activation_bytes=kept * FLOAT_BYTES,
    )


def _run_on_empty_image(network: Network) -> None:
    """Reconstruct or segment an empty image; the network's mode is restored."""
    was_training = network.training
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    image = torch.zeros(1, network.channels, *network.size, device=device)
    try:
        with torch.no_grad():
            _inference(network.eval())(image)
    finally:
        network.train(was_training)


def _inference(network: Network) -> Callable[[Tensor], Tensor]:
    """Return the inference method of a network."""
    if isinstance(network, Segmenter):
        return network.segment
    if isinstance(network, Reconstructor):
        return network.reconstruct
    raise TypeError(f"{type(network).__name__}: neither a reconstructor nor a segmenter")


@contextmanager
def _hooked(network: Network, record: Callable[[str, nn.Module, Tensor], None]) -> Iterator[None]:
    """Call ``record`` with name, layer and output of every elementary layer."""
    handles = [
        layer.register_forward_hook(lambda layer, _, out, name=name: record(name, layer, out))
        for name, layer in network.named_modules()
        if name and not any(layer.children())
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
