"""What several families are made of: layers by number of axes, and images that must grow to fit.

A :class:`Plan` writes a convolutional network down as data, a column of a paper's table.
:class:`Stack` builds its encoder, its latent layers and the decoder that transposes them, for
slices or for volumes. What the code in between means is the business of a family.
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
    """``conv kernel, stride, dilation-channels``, as Weninger et al. write it, and its padding.

    Their "receptive field size" is read as the kernel: with dilation 2 no effective size of 6
    exists. A kernel of None is as long as what remains, so that one voxel is left.
    """

    kernel: int | None
    stride: int
    dilation: int
    channels: int
    padding: int = 0

    def kernel_for(self, length: int) -> int:
        """Return the kernel along an axis of so many voxels."""
        return length if self.kernel is None else self.kernel

    def output_length(self, length: int) -> int:
        """Voxels along one axis after this layer; not positive where nothing fits."""
        return self._span(length) // self.stride + 1

    def left_over(self, length: int) -> int:
        """Voxels at the far end, padding included, that no window reaches."""
        return self._span(length) % self.stride

    def fits(self, length: int) -> bool:
        """Tell whether the windows reach every voxel, so that the way back restores them all."""
        return self._span(length) >= 0 and self.left_over(length) <= self.padding

    def geometry(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return what a convolution of an image of this shape is built with."""
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
    """The layers between image and code.

    Attributes:
        encoder: the blocks, first to last.
        latent: the layer that gives the code, or each of its parameters.
        norm: whether blocks have batch norm; their convolutions then have no bias, which the norm
            would remove.
        coordinates: whether every convolution also sees where it is (:class:`Coordinates`).
        multiple: what sizes must be a multiple of.
    """

    encoder: tuple[Layer, ...]
    latent: Layer
    norm: bool = True
    coordinates: bool = False
    multiple: int = 1

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every step from the image to the code."""
        return (*self.encoder, self.latent)

    def lengths(self, length: int) -> list[int]:
        """Voxels along one axis: of the image, then after each layer."""
        lengths = [length]
        for layer in self.layers:
            lengths.append(layer.output_length(lengths[-1]))
        return lengths

    def fits(self, length: int) -> bool:
        """Tell whether the decoder gives back exactly ``length`` voxels, none of them unseen."""
        steps = zip(self.layers, self.lengths(length), strict=False)
        return length % self.multiple == 0 and all(layer.fits(n) for layer, n in steps)

    def at_least(self, length: int) -> int:
        """Return the smallest length from ``length`` on that fits."""
        return next(n for n in count(length) if self.fits(n))


class Coordinates(nn.Module):
    """Appends one channel per axis, from -1 at its first voxel to 1 at its last (CoordConv).

    Liu et al. 2018, figure 1. A single voxel is left alone: there is nowhere else to be.
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
    """A plan for images of given channels and size.

    Blocks are convolution, batch norm where the plan has it, and leaky ReLU. Latent layers and
    the last layer of the decoder, back to the contrasts, have neither norm nor activation.

    Attributes:
        plan: the layers.
        channels: contrasts.
        size: (I, J) or (I, J, K) voxels; :meth:`of` makes them fit.
    """

    plan: Plan
    channels: int
    size: tuple[int, ...]

    @classmethod
    def of(cls, plan: Plan, channels: int, size: tuple[int, ...]) -> Stack:
        """Return the stack for the smallest images that fit the plan and hold ``size``.

        Raises:
            UsageError: the size has neither two nor three axes.
        """
        if len(size) not in CONVOLUTION:
            raise UsageError(
                f"image size {size}: expected two or three axes. "
                "Next: give `preparation.shape` in the recipe, such as [128, 128, null]."
            )
        return cls(plan, channels, tuple(plan.at_least(length) for length in size))

    @property
    def code(self) -> tuple[int, ...]:
        """Shape of one image's code, (D, *space)."""
        return (self.plan.latent.channels, *self._shapes()[-1])

    def encoder(self) -> nn.Sequential:
        """Build the blocks from the image to what the latent layers read."""
        steps = zip(self.plan.encoder, self._widths(), self._shapes(), strict=False)
        return nn.Sequential(
            *(
                self._block(self._convolution(*step, bias=not self.plan.norm), step[1][1])
                for step in steps
            )
        )

    def latent(self) -> nn.Module:
        """Build a latent layer."""
        *_, width = self._widths()
        return self._convolution(self.plan.latent, width, self._shapes()[-2], bias=True)

    def decoder(self) -> nn.Sequential:
        """Transpose every layer, last to first."""
        first, *others = zip(self.plan.layers, self._widths(), self._shapes(), strict=False)
        blocks = [
            self._block(self._transposed(*step, bias=not self.plan.norm), step[1][0])
            for step in reversed(others)
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
        start, to = width
        made = CONVOLUTION[len(shape)]
        return self._placed(
            shape, lambda more: made(start + more, to, bias=bias, **layer.geometry(shape))
        )

    def _transposed(
        self, layer: Layer, width: tuple[int, int], shape: tuple[int, ...], *, bias: bool
    ) -> nn.Module:
        """Lead back to ``shape``, what the layer was given on the way in."""
        to, start = width
        made, geometry = TRANSPOSED[len(shape)], layer.geometry(shape)
        geometry["output_padding"] = tuple(layer.left_over(length) for length in shape)
        narrow = tuple(layer.output_length(length) for length in shape)
        return self._placed(narrow, lambda more: made(start + more, to, bias=bias, **geometry))

    def _placed(self, shape: tuple[int, ...], make: Callable[[int], nn.Module]) -> nn.Module:
        """Make a layer that reads images of ``shape``, with their coordinates if so planned."""
        if not self.plan.coordinates or max(shape) == 1:
            return make(0)
        return nn.Sequential(Coordinates(), make(len(shape)))

    def _block(self, convolution: nn.Module, width: int) -> nn.Sequential:
        if self.plan.norm:
            return block(convolution, width, len(self.size))
        return nn.Sequential(convolution, nn.LeakyReLU(inplace=True))


def block(convolution: nn.Module, width: int, axes: int) -> nn.Sequential:
    """Follow a convolution to ``width`` channels by batch norm and leaky ReLU."""
    return nn.Sequential(convolution, NORM[axes](width), nn.LeakyReLU(inplace=True))


def rounded_up(size: tuple[int, ...], step: int) -> tuple[int, ...]:
    """Return the smallest size that is a multiple of ``step`` along each axis."""
    return tuple(-(-length // step) * step for length in size)


def fit(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Pad with 0 or crop (N, C, *space) to ``size``, around the centre.

    Cropping back to the size before padding restores the image; an odd voxel too many or too few
    is at the far end.
    """
    ends: list[int] = []
    for length, wanted in zip(images.shape[:1:-1], size[::-1], strict=True):
        before = abs(wanted - length) // 2
        after = abs(wanted - length) - before
        ends += [before, after] if wanted >= length else [-before, -after]
    return pad(images, ends) if any(ends) else images
