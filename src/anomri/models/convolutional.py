"""Convolutional autoencoders, one class per kind of latents.

Their layers are given by a plan (:mod:`anomri.models.plans`), their loss is chosen independently.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anomri.models.autoencoder import Autoencoder
from anomri.models.latents import Gaussian, Point, Quantised
from anomri.models.layers import Plan, Stack
from anomri.models.losses import Loss


class PlainAutoencoder(Autoencoder):
    """Autoencoder with deterministic latents (Paolini et al., section 3.1).

    Args:
        channels: number of contrasts.
        size: (I, J) or (I, J, K) voxels.
        loss: loss that is minimised.
        plan: the layers.
    """

    def __init__(self, *, channels: int, size: tuple[int, ...], loss: Loss, plan: Plan) -> None:
        stack = Stack.of(plan, channels, size)
        super().__init__(channels=channels, size=size, padded=stack.size, loss=loss)
        self.encoder = stack.encoder()
        self.point = stack.latent()
        self.decoder = stack.decoder()

    def latent(self, features: Tensor) -> Point:
        """Return the output of the latent layer."""
        return Point(self.point(features))


class VariationalAutoencoder(Autoencoder):
    """Autoencoder with normally distributed latents, whose parameters two latent layers return.

    The second latent layer returns the standard deviation (the Sigma^0.5 of Weninger et al. 2019,
    Table 1), not the logarithm of the variance: ``z = mean + deviation * noise``.

    Args:
        channels: number of contrasts.
        size: (I, J) or (I, J, K) voxels.
        loss: loss that is minimised.
        plan: the layers.
    """

    def __init__(self, *, channels: int, size: tuple[int, ...], loss: Loss, plan: Plan) -> None:
        stack = Stack.of(plan, channels, size)
        super().__init__(channels=channels, size=size, padded=stack.size, loss=loss)
        self.encoder = stack.encoder()
        self.mean = stack.latent()
        self.deviation = stack.latent()
        self.decoder = stack.decoder()

    def latent(self, features: Tensor) -> Gaussian:
        """Return the distribution of the latents."""
        return Gaussian(self.mean(features), self.deviation(features))


class QuantisedAutoencoder(Autoencoder):
    """Vector-quantised autoencoder (VQ-VAE): latent vectors are replaced by codebook entries.

    Van den Oord et al. 2017; Paolini et al., section 3.4. The codebook is trained by its own loss
    term and initialised uniformly within 1/``codes`` of 0.

    Args:
        channels: number of contrasts.
        size: (I, J) or (I, J, K) voxels.
        loss: loss that is minimised.
        plan: the layers; the latent layer's channels are the dimension of the vectors.
        codes: number of codebook entries.
    """

    def __init__(
        self,
        *,
        channels: int,
        size: tuple[int, ...],
        loss: Loss,
        plan: Plan,
        codes: int = 512,
    ) -> None:
        stack = Stack.of(plan, channels, size)
        super().__init__(channels=channels, size=size, padded=stack.size, loss=loss)
        self.encoder = stack.encoder()
        self.vectors = stack.latent()
        self.codebook = nn.Embedding(codes, plan.latent.channels)
        self.decoder = stack.decoder()
        nn.init.uniform_(self.codebook.weight, -1 / codes, 1 / codes)

    def latent(self, features: Tensor) -> Quantised:
        """Quantise the output of the latent layer."""
        encoded = self.vectors(features)
        indices = self.nearest(encoded)
        quantised = self.codebook(indices).movedim(-1, 1)
        return Quantised(encoded, quantised, indices, self.codebook.num_embeddings)

    def nearest(self, encoded: Tensor) -> Tensor:
        """Return (N, *space) indices of the entries nearest to the vectors (N, D, *space)."""
        vectors = encoded.detach().movedim(1, -1).flatten(0, -2).float()
        distances = torch.cdist(vectors, self.codebook.weight.detach().float())
        return distances.argmin(-1).reshape(len(encoded), *encoded.shape[2:])
