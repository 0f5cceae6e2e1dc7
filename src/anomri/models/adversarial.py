"""An autoencoder and a discriminator that learns to tell its work from the originals.

Weninger et al. 2019, section 4.1 and Figure 2: the two take turns.
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

IMAGES = (
    *(Layer(4, 2, 1, width, padding=1) for width in (16, 32, 64, 64, 64)),
    Layer(4, 2, 1, 64),
)
IMAGES_BESIDE_CODES = (*IMAGES[:-1], Layer(4, 2, 1, 128))
CODES = (Layer(4, 2, 1, 128, padding=1),) * 2
FUSION = (Layer(1, 1, 1, 128),) * 3


class Adversarial(Reconstructor):
    """An autoencoder that is also praised for what a discriminator takes for an original.

    The discriminator minimises the binary cross-entropy of its verdicts, the autoencoder its own
    objective plus ``adversarial_weight`` times the cross-entropy of "original" for its output (the
    form that does not saturate, Goodfellow et al. 2014). Voxels that do not count are shown to
    neither: they are 0 in both images. Validation judges by the objective alone, because an
    opponent's loss says who is ahead and not how good the reconstruction is.

    Args:
        channels: contrasts.
        size: spatial shape of the images; the paper's is (128, 128).
        objective: what the autoencoder minimises.
        autoencoder: makes it.
        codes: show the discriminator pairs, the image with the encoder's mean code against the
            reconstruction with the decoder's input (the BiAAE), instead of images.
        adversarial_weight: the cross-entropy is 0.7 when the two are equal and the reconstruction
            terms end near 0.1: 0.01 lets the adversary sharpen images without leading.

    Raises:
        UsageError: the images are too small for the discriminator.
    """

    def __init__(
        self,
        *,
        channels: int,
        size: tuple[int, ...],
        objective: Loss,
        autoencoder: Callable[..., Autoencoder],
        codes: bool,
        adversarial_weight: float = 0.01,
    ) -> None:
        super().__init__(channels=channels, size=size)
        if not isinstance(adversarial_weight, int | float) or adversarial_weight < 0:
            raise RecipeError(
                f"adversarial_weight: expected a number of at least 0; got {adversarial_weight}."
            )
        self.adversarial_weight = adversarial_weight
        self.autoencoder = autoencoder(channels=channels, size=size, objective=objective)
        self.discriminator = Discriminator((channels, *size), self._code() if codes else None)

    def phases(self) -> tuple[Phase, ...]:
        """Return the autoencoder's turn, then the discriminator's."""
        return (
            Phase("generator", self.autoencoder.parameters, self.generator_losses),
            Phase("discriminator", self.discriminator.parameters, self.discriminator_losses),
        )

    def losses(self, batch: Batch) -> Losses:
        """Return the autoencoder's objective, without the adversary."""
        return self.autoencoder.losses(batch)

    def encode(self, images: Tensor) -> Latent:
        """Return what is known of the code of each image."""
        return self.autoencoder.encode(images)

    def decode(self, code: Tensor) -> Tensor:
        """Return the image of each code."""
        return self.autoencoder.decode(code)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the mean code."""
        return self.autoencoder.reconstruct(images)

    def _code(self) -> tuple[int, ...]:
        """Return the shape of one image's code."""
        image = torch.zeros(1, self.channels, *self.size)
        with torch.no_grad():
            shape = self.autoencoder.eval().encode(image).mean.shape
        self.autoencoder.train()
        return tuple(shape[1:])

    def generator_losses(self, batch: Batch) -> Losses:
        """Return the objective, and how far the discriminator is from being taken in."""
        passed = self.autoencoder.run(batch.image)
        losses = self.autoencoder.judge(batch, passed)
        with _left_alone(self.discriminator):
            verdict = self.discriminator(passed.output * batch.weight, passed.code)
        adversarial = _cross_entropy(verdict, 1)
        total = losses[TOTAL] + self.adversarial_weight * adversarial
        return {**losses, TOTAL: total, "adversarial": adversarial}

    def discriminator_losses(self, batch: Batch) -> Losses:
        """Return the mean cross-entropy of both verdicts, and each of them."""
        with torch.no_grad():
            passed = self.autoencoder.run(batch.image)
        originals = self.discriminator(batch.target * batch.weight, passed.latent.mean)
        copies = self.discriminator(passed.output * batch.weight, passed.code)
        real, fake = _cross_entropy(originals, 1), _cross_entropy(copies, 0)
        return {TOTAL: (real + fake) / 2, "real": real, "fake": fake}


class Discriminator(nn.Module):
    """Six strided blocks down to one voxel and a logit (Table 1, last column).

    Beside codes, the image's last block has 128 channels, two blocks of 128 read the code, and
    three 1x1 blocks read both. Where one voxel is left a block has no batch norm: there the
    statistics would be those of the other images alone, and of nothing in a batch of one. Images
    larger than the paper's leave more than one voxel, whose mean is taken.

    Args:
        image: (C, *space) of one image.
        code: (D, *space) of one code; None where it is not to be seen.

    Raises:
        UsageError: the image or the code is too small.
    """

    def __init__(self, image: tuple[int, ...], code: tuple[int, ...] | None = None) -> None:
        super().__init__()
        axes = len(image) - 1
        self.images = _blocks(image, IMAGES if code is None else IMAGES_BESIDE_CODES)
        self.codes = None if code is None else _blocks(code, CODES)
        width = IMAGES[-1].channels
        self.fusion = nn.Sequential()
        if code is not None:
            both = IMAGES_BESIDE_CODES[-1].channels + CODES[-1].channels
            self.fusion, width = _blocks((both, *(1,) * axes), FUSION), FUSION[-1].channels
        self.logit = CONVOLUTION[axes](width, 1, 1)

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        """Return (N,) logits, above 0 for what looks original."""
        features = _single(self.images(images))
        if self.codes is not None:
            features = torch.cat((features, _single(self.codes(codes))), 1)
        logits: Tensor = self.logit(self.fusion(features))
        return logits.flatten()


def _blocks(start: tuple[int, ...], layers: tuple[Layer, ...]) -> nn.Sequential:
    """Return convolution, batch norm and leaky ReLU for each layer.

    Raises:
        UsageError: nothing would be left of the image.
    """
    width, shape = start[0], start[1:]
    blocks = []
    for layer in layers:
        left = tuple(layer.output_length(length) for length in shape)
        if min(left) < 1:
            raise UsageError(
                f"an image or a code of {start[1:]} voxels is too small for the discriminator. "
                "Next: set `preparation.shape` in the recipe to at least [128, 128]."
            )
        norm = [NORM[len(shape)](layer.channels)] if max(left) > 1 else []
        convolution = CONVOLUTION[len(shape)](
            width, layer.channels, bias=not norm, **layer.geometry(shape)
        )
        blocks.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(inplace=True)))
        width, shape = layer.channels, left
    return nn.Sequential(*blocks)


def _single(features: Tensor) -> Tensor:
    """Average what is left of space to one voxel."""
    return features.mean(tuple(range(2, features.ndim)), keepdim=True)


def _cross_entropy(logits: Tensor, answer: int) -> Tensor:
    return binary_cross_entropy_with_logits(
        logits.float(), torch.full_like(logits, answer, dtype=torch.float32)
    )


@contextmanager
def _left_alone(network: nn.Module) -> Iterator[None]:
    """Let gradients through a network without computing any for its own parameters."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
