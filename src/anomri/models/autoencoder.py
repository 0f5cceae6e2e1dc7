"""What every autoencoder does, whatever its layers and its code are."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from anomri.models.base import Batch, Losses, Reconstructor
from anomri.models.latents import Latent
from anomri.models.layers import fit
from anomri.models.losses import Loss


@dataclass(frozen=True, slots=True)
class Pass:
    """One way through an autoencoder.

    Attributes:
        latent: what the encoder said.
        code: (N, D, *space), what the decoder was given.
        output: (N, C, *space), what it made of it.
    """

    latent: Latent
    code: Tensor
    output: Tensor


class Autoencoder(Reconstructor):
    """Encoder, code, decoder, and an objective that sees what came in and what came out.

    Images whose size the layers do not restore are padded on their way in and cropped on their way
    out; here and nowhere else.

    Attributes:
        encoder: (N, C, *padded) to features.
        decoder: codes to (N, C, *padded).

    Args:
        channels: contrasts.
        size: spatial shape of the images.
        padded: the size that the layers restore, at least as large.
        objective: what is minimised.
    """

    encoder: nn.Module
    decoder: nn.Module

    def __init__(
        self,
        *,
        channels: int,
        size: tuple[int, ...],
        padded: tuple[int, ...],
        objective: Loss,
    ) -> None:
        super().__init__(channels=channels, size=size)
        self.padded = padded
        self.objective = objective

    @abstractmethod
    def latent(self, features: Tensor) -> Latent:
        """Return what the encoder's features say of the code."""

    def encode(self, images: Tensor) -> Latent:
        """Return what is known of the code of each image."""
        return self.latent(self.encoder(fit(images, self.padded)))

    def decode(self, code: Tensor) -> Tensor:
        """Return the image of each code."""
        return fit(self.decoder(code), self.size)

    def run(self, images: Tensor) -> Pass:
        """Encode, draw one code per image, decode."""
        latent = self.encode(images)
        code = latent.sample()
        return Pass(latent, code, self.decode(code))

    def judge(self, batch: Batch, passed: Pass) -> Losses:
        """Return the objective of a pass; with context encoding, of a second one too.

        The second pass sees a batch with holes and decodes its mean code.
        """
        losses = self.objective.losses(batch, passed.output, passed.latent)
        if not self.objective.context_weight:
            return losses
        healed = self.reconstruct(self.objective.erase(batch.image))
        return self.objective.with_context(losses, batch, healed)

    def losses(self, batch: Batch) -> Losses:
        """Return the objective at one random code per image."""
        return self.judge(batch, self.run(batch.image))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the mean code."""
        return self.decode(self.encode(images).mean)
