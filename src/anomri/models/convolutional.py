"""The fully convolutional variational autoencoders of Weninger et al. 2019, Table 1.

A network is written down as a :class:`Plan`, a column of the table; one class builds any plan, for
slices or for volumes. What is minimised is an :class:`~anomri.objective.Objective`, a separate
choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

from torch import Tensor, nn

from anomri.errors import UsageError
from anomri.family import Batch, Family, Losses
from anomri.layers import CONVOLUTION, TRANSPOSED, block
from anomri.objective import Gaussian, Objective


@dataclass(frozen=True, slots=True)
class Layer:
    """``conv kernel, stride, dilation-channels``, as Table 1 writes it, and its padding.

    The table's "receptive field size" is read as the kernel: with dilation 2 no effective size of
    6 exists. Padding is not given; see the plans.
    """

    kernel: int
    stride: int
    dilation: int
    channels: int
    padding: int = 0

    def output_length(self, length: int) -> int:
        """Voxels along one axis after this layer; not positive where nothing fits."""
        return self._span(length) // self.stride + 1

    def left_over(self, length: int) -> int:
        """Voxels at the far end, padding included, that no window reaches."""
        return self._span(length) % self.stride

    def fits(self, length: int) -> bool:
        """Tell whether the windows reach every voxel, so that the way back restores them all."""
        return self._span(length) >= 0 and self.left_over(length) <= self.padding

    def _span(self, length: int) -> int:
        return length + 2 * self.padding - self.dilation * (self.kernel - 1) - 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A column of Table 1.

    Attributes:
        encoder: the blocks, first to last.
        latent: the layer that there are two of, for mean and deviation.
    """

    encoder: tuple[Layer, ...]
    latent: Layer

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every step from the image to the latent space."""
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
        return all(layer.fits(n) for layer, n in steps)

    def nearest(self, length: int) -> int:
        """Return the closest length that fits; the larger one of two."""
        candidates = (n for d in count() for n in (length + d, length - d) if n > 0)
        return next(n for n in candidates if self.fits(n))


# Padding 1 halves exactly; the latent layer, 8 to 4, needs one voxel more on the way back.
VAE = Plan(
    encoder=(
        Layer(4, 2, 1, 16, padding=1),
        Layer(4, 2, 1, 32, padding=1),
        Layer(4, 2, 1, 64, padding=1),
        Layer(4, 2, 1, 64, padding=1),
    ),
    latent=Layer(3, 2, 1, 64, padding=1),
)
# No padding: 128, 123, 58, 48, 14, 12. Every division is exact.
DVAE = Plan(
    encoder=(Layer(6, 1, 1, 8), Layer(5, 2, 2, 16), Layer(6, 1, 2, 16), Layer(5, 3, 2, 16)),
    latent=Layer(3, 1, 1, 16),
)


class VariationalAutoencoder(Family):
    """Encoder, two latent layers and the transposed decoder of a plan.

    Blocks are convolution, batch norm and leaky ReLU; the convolution has no bias, which the norm
    would remove. The latent layers and the last layer of the decoder, back to the contrasts, have
    neither norm nor activation. The second latent layer is read as the square root of the
    variance itself (the table's Sigma^0.5), not its logarithm: ``z = mean + deviation * noise``.

    Args:
        channels: contrasts.
        size: (I, J) or (I, J, K) voxels.
        objective: what is minimised.
        plan: the layers.

    Raises:
        UsageError: the decoder could not give back an image of this size.
    """

    def __init__(
        self, *, channels: int, size: tuple[int, ...], objective: Objective, plan: Plan
    ) -> None:
        super().__init__(channels=channels, size=size)
        _check(plan, size)
        self.objective = objective
        convolution = CONVOLUTION[len(size)]
        features, code = plan.encoder[-1].channels, plan.latent.channels
        self.encoder = _encoder(plan, channels, axes=len(size))
        self.mean = convolution(features, code, **_geometry(plan.latent))
        self.deviation = convolution(features, code, **_geometry(plan.latent))
        self.decoder = _decoder(plan, channels, size)

    def encode(self, images: Tensor) -> Gaussian:
        """Return the distribution of the code of each image."""
        features = self.encoder(images)
        return Gaussian(self.mean(features), self.deviation(features))

    def losses(self, batch: Batch) -> Losses:
        """Return the objective at one random code per image."""
        latent = self.encode(batch.image)
        return self.objective.losses(batch, self.decoder(latent.sample()), latent)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the mean code."""
        decoded: Tensor = self.decoder(self.encode(images).mean)
        return decoded


def _check(plan: Plan, size: tuple[int, ...]) -> None:
    if len(size) not in CONVOLUTION:
        raise UsageError(
            f"image size {size}: expected two or three axes. "
            "Next: give `preparation.shape` in the recipe, such as [128, 128, null]."
        )
    if not all(plan.fits(length) for length in size):
        near = ", ".join(str(plan.nearest(length)) for length in size)
        raise UsageError(
            f"image size {size} does not survive the layers of this family: its decoder cannot "
            f"give back every voxel. Next: set `preparation.shape` in the recipe to [{near}]."
        )


def _encoder(plan: Plan, channels: int, *, axes: int) -> nn.Sequential:
    widths = pairwise((channels, *(layer.channels for layer in plan.encoder)))
    return nn.Sequential(
        *(
            block(CONVOLUTION[axes](*width, bias=False, **_geometry(layer)), width[1], axes)
            for layer, width in zip(plan.encoder, widths, strict=True)
        )
    )


def _decoder(plan: Plan, channels: int, size: tuple[int, ...]) -> nn.Sequential:
    """Transpose every layer, last to first."""
    widths = pairwise((channels, *(layer.channels for layer in plan.layers)))
    lengths = zip(*(plan.lengths(length) for length in size), strict=True)
    first, *others = zip(plan.layers, widths, lengths, strict=False)
    blocks = [
        block(_transposed(layer, width, shape, bias=False), width[0], len(size))
        for layer, width, shape in reversed(others)
    ]
    return nn.Sequential(*blocks, _transposed(*first, bias=True))


def _transposed(
    layer: Layer, width: tuple[int, int], shape: tuple[int, ...], *, bias: bool
) -> nn.Module:
    """Lead back to ``shape``, what the layer was given on the way in."""
    to, start = width
    rest = tuple(layer.left_over(length) for length in shape)
    transposed = TRANSPOSED[len(shape)]
    return transposed(start, to, output_padding=rest, bias=bias, **_geometry(layer))


def _geometry(layer: Layer) -> dict[str, Any]:
    return {
        "kernel_size": layer.kernel,
        "stride": layer.stride,
        "dilation": layer.dilation,
        "padding": layer.padding,
    }
