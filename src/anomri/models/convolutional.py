"""Convolutional autoencoders of a plan, one class per kind of code.

The plans are in :mod:`anomri.models.plans`; what is minimised is an objective, a separate choice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anomri.models.autoencoder import Autoencoder
from anomri.models.latents import Gaussian, Point, Quantised
from anomri.models.layers import Plan, Stack
from anomri.models.losses import Loss


class PlainAutoencoder(Autoencoder):
    """The code is what the latent layer gives (Paolini et al., section 3.1).

    Args:
        channels: contrasts.
        size: (I, J) or (I, J, K) voxels.
        objective: what is minimised.
        plan: the layers.
    """

    def __init__(
        self, *, channels: int, size: tuple[int, ...], objective: Loss, plan: Plan
    ) -> None:
        stack = Stack.of(plan, channels, size)
        super().__init__(channels=channels, size=size, padded=stack.size, objective=objective)
        self.encoder = stack.encoder()
        self.point = stack.latent()
        self.decoder = stack.decoder()

    def latent(self, features: Tensor) -> Point:
        """Return the code itself."""
        return Point(self.point(features))


class VariationalAutoencoder(Autoencoder):
    """The code is drawn from a normal distribution whose parameters two latent layers give.

    The second latent layer is read as the square root of the variance itself (the Sigma^0.5 of
    Weninger et al. 2019, Table 1), not its logarithm: ``z = mean + deviation * noise``.

    Args:
        channels: contrasts.
        size: (I, J) or (I, J, K) voxels.
        objective: what is minimised.
        plan: the layers.
    """

    def __init__(
        self, *, channels: int, size: tuple[int, ...], objective: Loss, plan: Plan
    ) -> None:
        stack = Stack.of(plan, channels, size)
        super().__init__(channels=channels, size=size, padded=stack.size, objective=objective)
        self.encoder = stack.encoder()
        self.mean = stack.latent()
        self.deviation = stack.latent()
        self.decoder = stack.decoder()

    def latent(self, features: Tensor) -> Gaussian:
        """Return the distribution of the code."""
        return Gaussian(self.mean(features), self.deviation(features))


class QuantisedAutoencoder(Autoencoder):
    """Each vector of the code is exchanged for the nearest of a learnt codebook (VQ-VAE).

    Van den Oord et al. 2017; Paolini et al., section 3.4. The codebook learns by its own term of
    the objective and starts uniform within 1/``codes`` of 0.

    Args:
        channels: contrasts.
        size: (I, J) or (I, J, K) voxels.
        objective: what is minimised.
        plan: the layers; its latent layer gives the vectors' dimension.
        codes: vectors in the codebook.
    """

    def __init__(
        self,
        *,
        channels: int,
        size: tuple[int, ...],
        objective: Loss,
        plan: Plan,
        codes: int = 512,
    ) -> None:
        stack = Stack.of(plan, channels, size)
        super().__init__(channels=channels, size=size, padded=stack.size, objective=objective)
        self.encoder = stack.encoder()
        self.vectors = stack.latent()
        self.codebook = nn.Embedding(codes, plan.latent.channels)
        self.decoder = stack.decoder()
        nn.init.uniform_(self.codebook.weight, -1 / codes, 1 / codes)

    def latent(self, features: Tensor) -> Quantised:
        """Exchange each vector."""
        encoded = self.vectors(features)
        numbers = self.nearest(encoded)
        chosen = self.codebook(numbers).movedim(-1, 1)
        return Quantised(encoded, chosen, numbers, self.codebook.num_embeddings)

    def nearest(self, encoded: Tensor) -> Tensor:
        """Return (N, *space), the number of the code nearest to each vector of (N, D, *space)."""
        vectors = encoded.detach().movedim(1, -1).flatten(0, -2).float()
        distances = torch.cdist(vectors, self.codebook.weight.detach().float())
        return distances.argmin(-1).reshape(len(encoded), *encoded.shape[2:])
