"""Adversarial autoencoders (AAE, BiAAE): an autoencoder trained against a discriminator.

Weninger et al. 2019, section 4.1 and Figure 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anomri.errors import RecipeError, UsageError
from anomri.models.autoencoder import Autoencoder
from anomri.models.base import TOTAL, Batch, Losses, Phase, Reconstructor
from anomri.models.latents import Latent
from anomri.models.layers import CONVOLUTION, NORM, Layer
from anomri.models.losses import Loss

IMAGE_LAYERS = (
    *(Layer(4, 2, 1, width, padding=1) for width in (16, 32, 64, 64, 64)),
    Layer(4, 2, 1, 64),
)
IMAGE_LAYERS_OF_PAIRS = (*IMAGE_LAYERS[:-1], Layer(4, 2, 1, 128))
LATENT_LAYERS = (Layer(4, 2, 1, 128, padding=1),) * 2
FUSION_LAYERS = (Layer(1, 1, 1, 128),) * 3


class Adversarial(Reconstructor):
    """Autoencoder with an adversarial loss term.

    The discriminator minimises its binary cross-entropy, the autoencoder its own loss plus
    ``adversarial_weight`` times the cross-entropy of its output being classified as original (the
    non-saturating form, Goodfellow et al. 2014). Voxels without weight are 0 in both images of the
    discriminator. The validation loss is that of the autoencoder alone, because an adversarial
    loss does not measure the quality of a reconstruction.

    Args:
        channels: number of contrasts.
        size: spatial shape of the images; (128, 128) in the paper.
        loss: loss of the autoencoder.
        autoencoder: constructor of the autoencoder.
        pairs: discriminate pairs (BiAAE), the image with the mean of its latent distribution
            against the reconstruction with the decoder's input, instead of images (AAE).
        adversarial_weight: the cross-entropy is 0.7 at equilibrium and reconstruction terms end
            near 0.1: with 0.01 the adversarial term sharpens images without dominating.

    Raises:
        UsageError: the images are too small for the discriminator.
    """

    def __init__(
        self,
        *,
        channels: int,
        size: tuple[int, ...],
        loss: Loss,
        autoencoder: Callable[..., Autoencoder],
        pairs: bool,
        adversarial_weight: float = 0.01,
    ) -> None:
        super().__init__(channels=channels, size=size)
        if not isinstance(adversarial_weight, int | float) or adversarial_weight < 0:
            raise RecipeError(
                f"adversarial_weight: expected a number of at least 0; got {adversarial_weight}."
            )
        self.adversarial_weight = adversarial_weight
        self.autoencoder = autoencoder(channels=channels, size=size, loss=loss)
        latent_shape = self._latent_shape() if pairs else None
        self.discriminator = Discriminator((channels, *size), latent_shape)

    def phases(self) -> tuple[Phase, ...]:
        """Return the phases of the autoencoder and of the discriminator."""
        return (
            Phase("generator", self.autoencoder.parameters, self.generator_losses),
            Phase("discriminator", self.discriminator.parameters, self.discriminator_losses),
        )

    def losses(self, batch: Batch) -> Losses:
        """Return the autoencoder's losses, without the adversarial term."""
        return self.autoencoder.losses(batch)

    def encode(self, images: Tensor) -> Latent:
        """Encode images to their latents."""
        return self.autoencoder.encode(images)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents to images."""
        return self.autoencoder.decode(latents)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the means of the latents."""
        return self.autoencoder.reconstruct(images)

    def _latent_shape(self) -> tuple[int, ...]:
        """Return the shape of one image's latents, (D, *space)."""
        image = torch.zeros(1, self.channels, *self.size)
        with torch.no_grad():
            shape = self.autoencoder.eval().encode(image).mean.shape
        self.autoencoder.train()
        return tuple(shape[1:])

    def generator_losses(self, batch: Batch) -> Losses:
        """Return the autoencoder's losses with the adversarial term."""
        result = self.autoencoder.run(batch.image)
        losses = self.autoencoder.losses_of(batch, result)
        with _frozen(self.discriminator):
            logits = self.discriminator(result.output * batch.weight, result.latents)
        adversarial = _cross_entropy(logits, 1)
        total = losses[TOTAL] + self.adversarial_weight * adversarial
        return {**losses, TOTAL: total, "adversarial": adversarial}

    def discriminator_losses(self, batch: Batch) -> Losses:
        """Return the cross-entropy of originals, of reconstructions, and the mean of both."""
        with torch.no_grad():
            result = self.autoencoder.run(batch.image)
        original_logits = self.discriminator(batch.target * batch.weight, result.latent.mean)
        output_logits = self.discriminator(result.output * batch.weight, result.latents)
        real, fake = _cross_entropy(original_logits, 1), _cross_entropy(output_logits, 0)
        return {TOTAL: (real + fake) / 2, "real": real, "fake": fake}


class Discriminator(nn.Module):
    """Six strided blocks down to one voxel and a logit (Table 1, last column).

    In a discriminator of pairs the image's last block has 128 channels, two blocks of 128 channels
    encode the latents, and three 1x1 blocks combine both. A block whose output is one voxel has no
    batch norm, which would have no statistics in a batch of one. The remaining voxels of images
    larger than the paper's are averaged.

    Args:
        image: (C, *space) of one image.
        latents: (D, *space) of one image's latents; None for a discriminator of images alone.

    Raises:
        UsageError: the image or its latents are too small.
    """

    def __init__(self, image: tuple[int, ...], latents: tuple[int, ...] | None = None) -> None:
        super().__init__()
        axes = len(image) - 1
        # Weights files hold these modules as `images`, `codes`, `fusion` and `logit`.
        self.images = _blocks(image, IMAGE_LAYERS if latents is None else IMAGE_LAYERS_OF_PAIRS)
        self.codes = None if latents is None else _blocks(latents, LATENT_LAYERS)
        width = IMAGE_LAYERS[-1].channels
        self.fusion = nn.Sequential()
        if latents is not None:
            both = IMAGE_LAYERS_OF_PAIRS[-1].channels + LATENT_LAYERS[-1].channels
            self.fusion = _blocks((both, *(1,) * axes), FUSION_LAYERS)
            width = FUSION_LAYERS[-1].channels
        self.logit = CONVOLUTION[axes](width, 1, 1)

    def forward(self, images: Tensor, latents: Tensor) -> Tensor:
        """Return (N,) logits, above 0 for original images."""
        features = _mean_over_space(self.images(images))
        if self.codes is not None:
            features = torch.cat((features, _mean_over_space(self.codes(latents))), 1)
        logits: Tensor = self.logit(self.fusion(features))
        return logits.flatten()


def _blocks(input_shape: tuple[int, ...], layers: tuple[Layer, ...]) -> nn.Sequential:
    """Return convolution, batch norm and leaky ReLU for each layer.

    Raises:
        UsageError: the input is too small for the layers.
    """
    width, shape = input_shape[0], input_shape[1:]
    blocks = []
    for layer in layers:
        output_shape = tuple(layer.output_length(length) for length in shape)
        if min(output_shape) < 1:
            raise UsageError(
                f"images or latents of {input_shape[1:]} voxels are too small for the "
                "discriminator. "
                "Next: set `preparation.shape` in the recipe to at least [128, 128]."
            )
        norm = [NORM[len(shape)](layer.channels)] if max(output_shape) > 1 else []
        convolution = CONVOLUTION[len(shape)](
            width, layer.channels, bias=not norm, **layer.geometry(shape)
        )
        blocks.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(inplace=True)))
        width, shape = layer.channels, output_shape
    return nn.Sequential(*blocks)


def _mean_over_space(features: Tensor) -> Tensor:
    """Return (N, C, 1, ...) means of (N, C, *space)."""
    return features.mean(tuple(range(2, features.ndim)), keepdim=True)


def _cross_entropy(logits: Tensor, label: int) -> Tensor:
    return binary_cross_entropy_with_logits(
        logits.float(), torch.full_like(logits, label, dtype=torch.float32)
    )


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Compute no gradients of a network's parameters, only those of its inputs."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
