"""Base class of the autoencoders, independent of their layers and latents."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from anomri.models.base import Batch, Losses, Reconstructor
from anomri.models.latents import Latent
from anomri.models.layers import fit
from anomri.models.losses import Loss


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """Result of one pass through an autoencoder.

    Attributes:
        latent: output of the encoder.
        latents: (N, D, *space), input of the decoder: one sample per image.
        output: (N, C, *space) reconstruction.
    """

    latent: Latent
    latents: Tensor
    output: Tensor


class Autoencoder(Reconstructor):
    """Encoder, latents, decoder, and the loss that is minimised.

    Images whose size the layers do not restore are padded before the encoder and cropped after the
    decoder.

    Attributes:
        encoder: maps (N, C, *padded) to features.
        decoder: maps latents to (N, C, *padded).

    Args:
        channels: number of contrasts.
        size: spatial shape of the images.
        padded: size that the layers restore, at least as large.
        loss: loss that is minimised.
    """

    encoder: nn.Module
    decoder: nn.Module

    def __init__(
        self,
        *,
        channels: int,
        size: tuple[int, ...],
        padded: tuple[int, ...],
        loss: Loss,
    ) -> None:
        super().__init__(channels=channels, size=size)
        self.padded = padded
        self.objective = loss  # weights files hold the loss's buffers by this name

    @abstractmethod
    def latent(self, features: Tensor) -> Latent:
        """Return the latents of the encoder's features."""

    def encode(self, images: Tensor) -> Latent:
        """Encode images to their latents."""
        return self.latent(self.encoder(fit(images, self.padded)))

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents to images."""
        return fit(self.decoder(latents), self.size)

    def run(self, images: Tensor) -> ForwardPass:
        """Encode images, sample their latents once and decode the samples."""
        latent = self.encode(images)
        latents = latent.sample()
        return ForwardPass(latent, latents, self.decode(latents))

    def losses_of(self, batch: Batch, result: ForwardPass) -> Losses:
        """Return the losses of a forward pass.

        With context encoding the batch is also reconstructed with erased squares, through the
        means of its latents.
        """
        losses = self.objective.losses(batch, result.output, result.latent)
        if not self.objective.context_weight:
            return losses
        inpainted = self.reconstruct(self.objective.erase(batch.image))
        return self.objective.with_context(losses, batch, inpainted)

    def losses(self, batch: Batch) -> Losses:
        """Return the losses with one random sample of each image's latents."""
        return self.losses_of(batch, self.run(batch.image))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the means of the latents."""
        return self.decode(self.encode(images).mean)
