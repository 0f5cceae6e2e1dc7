"""Convolutional encoders and decoders built from a plan, for slices and volumes.

A :class:`Plan` is a convolutional network as data: a column of a paper's table. :class:`Stack`
builds its encoder, its latent layers and the decoder that transposes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from anomri.errors import UsageError

ByAxes = dict[int, Callable[..., nn.Module]]

CONVOLUTION: ByAxes = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: ByAxes = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM: ByAxes = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


@dataclass(frozen=True, slots=True)
class Layer:
    """``conv kernel, stride, dilation-channels`` in the notation of Weninger et al., and padding.

    Their "receptive field size" is taken as the kernel: with dilation 2 no effective size of 6
    exists. A kernel of None covers the whole input, so that the output is one voxel.
    """

    kernel: int | None
    stride: int
    dilation: int
    channels: int
    padding: int = 0

    def kernel_for(self, length: int) -> int:
        """Return the kernel along an axis of ``length`` voxels."""
        return length if self.kernel is None else self.kernel

    def output_length(self, length: int) -> int:
        """Return the voxels along an axis after this layer; below 1 if the input is too small."""
        return self._span(length) // self.stride + 1

    def left_over(self, length: int) -> int:
        """Return the voxels at the far end, padding included, that no window covers."""
        return self._span(length) % self.stride

    def fits(self, length: int) -> bool:
        """Tell whether the windows cover every voxel, so that the decoder restores all of them."""
        return self._span(length) >= 0 and self.left_over(length) <= self.padding

    def geometry(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return the arguments of a convolution of images of this shape."""
        return {
            "kernel_size": tuple(self.kernel_for(length) for length in shape),
            "stride": self.stride,
            "dilation": self.dilation,
            "padding": self.padding,
        }

    def _span(self, length: int) -> int:
        if length < 1:
            return -1
        return length + 2 * self.padding - self.dilation * (self.kernel_for(length) - 1) - 1


@dataclass(frozen=True, slots=True)
class Plan:
    """The layers from image to latents.

    Attributes:
        encoder: the blocks, first to last.
        latent: the layer of the latents, or of each of their parameters.
        norm: whether blocks have batch norm; their convolutions then have no bias.
        coordinates: whether convolutions have :class:`Coordinates` as additional input.
        multiple: sizes must be a multiple of this.
    """

    encoder: tuple[Layer, ...]
    latent: Layer
    norm: bool = True
    coordinates: bool = False
    multiple: int = 1

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers from image to latents."""
        return (*self.encoder, self.latent)

    def lengths(self, length: int) -> list[int]:
        """Return the voxels along an axis: of the image, then after each layer."""
        lengths = [length]
        for layer in self.layers:
            lengths.append(layer.output_length(lengths[-1]))
        return lengths

    def fits(self, length: int) -> bool:
        """Tell whether the encoder covers and the decoder restores exactly ``length`` voxels."""
        inputs = zip(self.layers, self.lengths(length), strict=False)
        return length % self.multiple == 0 and all(layer.fits(n) for layer, n in inputs)

    def at_least(self, length: int) -> int:
        """Return the smallest length that fits and is at least ``length``."""
        return next(n for n in count(length) if self.fits(n))


class Coordinates(nn.Module):
    """Append one channel per axis with coordinates from -1 to 1 (CoordConv).

    Liu et al. 2018, figure 1. Images of a single voxel are returned unchanged.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, C + axes, *space)."""
        shape = images.shape[2:]
        if max(shape) == 1:
            return images
        axes = [torch.linspace(-1, 1, n, device=images.device, dtype=images.dtype) for n in shape]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        return torch.cat((images, grid.expand(len(images), *grid.shape)), 1)


@dataclass(frozen=True, slots=True)
class Stack:
    """A plan for a given number of contrasts and image size.

    Blocks are convolution, batch norm if the plan has it, and leaky ReLU. Latent layers and the
    last layer of the decoder have neither norm nor activation.

    Attributes:
        plan: the layers.
        channels: number of contrasts.
        size: (I, J) or (I, J, K) voxels that fit the plan; see :meth:`of`.
    """

    plan: Plan
    channels: int
    size: tuple[int, ...]

    @classmethod
    def of(cls, plan: Plan, channels: int, size: tuple[int, ...]) -> Stack:
        """Return the stack for the smallest size that fits the plan and contains ``size``.

        Raises:
            UsageError: the size has neither two nor three axes.
        """
        if len(size) not in CONVOLUTION:
            raise UsageError(
                f"image size {size}: expected two or three axes. "
                "Next: give `preparation.shape` in the recipe, such as [128, 128, null]."
            )
        return cls(plan, channels, tuple(plan.at_least(length) for length in size))

    def encoder(self) -> nn.Sequential:
        """Build the blocks from the image to the input of the latent layers."""
        blocks = zip(self.plan.encoder, self._widths(), self._shapes(), strict=False)
        return nn.Sequential(
            *(
                self._block(self._convolution(*block, bias=not self.plan.norm), block[1][1])
                for block in blocks
            )
        )

    def latent(self) -> nn.Module:
        """Build a latent layer."""
        *_, width = self._widths()
        return self._convolution(self.plan.latent, width, self._shapes()[-2], bias=True)

    def decoder(self) -> nn.Sequential:
        """Build the transposed layers, last to first."""
        first, *inner = zip(self.plan.layers, self._widths(), self._shapes(), strict=False)
        blocks = [
            self._block(self._transposed(*layer, bias=not self.plan.norm), layer[1][0])
            for layer in reversed(inner)
        ]
        return nn.Sequential(*blocks, self._transposed(*first, bias=True))

    def _widths(self) -> Iterator[tuple[int, int]]:
        """Yield the channels before and after each layer."""
        return pairwise((self.channels, *(layer.channels for layer in self.plan.layers)))

    def _shapes(self) -> list[tuple[int, ...]]:
        """Return the shape of the image, then after each layer."""
        return list(zip(*(self.plan.lengths(length) for length in self.size), strict=True))

    def _convolution(
        self, layer: Layer, width: tuple[int, int], shape: tuple[int, ...], *, bias: bool
    ) -> nn.Module:
        inputs, outputs = width
        convolution = CONVOLUTION[len(shape)]
        return self._with_coordinates(
            shape,
            lambda added: convolution(inputs + added, outputs, bias=bias, **layer.geometry(shape)),
        )

    def _transposed(
        self, layer: Layer, width: tuple[int, int], shape: tuple[int, ...], *, bias: bool
    ) -> nn.Module:
        """Build the transposed layer, whose output has the layer's input ``shape``."""
        outputs, inputs = width
        convolution, geometry = TRANSPOSED[len(shape)], layer.geometry(shape)
        geometry["output_padding"] = tuple(layer.left_over(length) for length in shape)
        input_shape = tuple(layer.output_length(length) for length in shape)
        return self._with_coordinates(
            input_shape, lambda added: convolution(inputs + added, outputs, bias=bias, **geometry)
        )

    def _with_coordinates(
        self, shape: tuple[int, ...], build: Callable[[int], nn.Module]
    ) -> nn.Module:
        """Build a layer for images of ``shape``, with added coordinate channels if planned."""
        if not self.plan.coordinates or max(shape) == 1:
            return build(0)
        return nn.Sequential(Coordinates(), build(len(shape)))

    def _block(self, convolution: nn.Module, width: int) -> nn.Sequential:
        """Return a convolution to ``width`` channels, batch norm if planned, and leaky ReLU."""
        norm = [NORM[len(self.size)](width)] if self.plan.norm else []
        return nn.Sequential(convolution, *norm, nn.LeakyReLU(inplace=True))


def fit(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Pad with 0 or crop (N, C, *space) to ``size``, around the centre.

    Cropping to the size before padding restores the image; an odd voxel is added or removed at the
    far end.
    """
    margins: list[int] = []
    for length, new_length in zip(images.shape[:1:-1], size[::-1], strict=True):
        before = abs(new_length - length) // 2
        after = abs(new_length - length) - before
        margins += [before, after] if new_length >= length else [-before, -after]
    return pad(images, margins) if any(margins) else images
