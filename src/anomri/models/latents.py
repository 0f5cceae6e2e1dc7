"""Latents of an encoder: points, normal distributions or codebook entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

SMALLEST_VARIANCE = 1e-6


class Latent(Protocol):
    """Output of an encoder."""

    @property
    def mean(self) -> Tensor:
        """(N, D, *space) latents from which images are reconstructed."""

    def sample(self) -> Tensor:
        """Draw (N, D, *space) latents, differentiable in the encoder's output."""


@dataclass(frozen=True, slots=True)
class Point:
    """Deterministic latents.

    Attributes:
        mean: (N, D, *space).
    """

    mean: Tensor

    def sample(self) -> Tensor:
        """Return the latents."""
        return self.mean


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Latents with a diagonal normal distribution.

    Attributes:
        mean: (N, D, *space).
        deviation: (N, D, *space), the square root of the variance; its sign has no meaning.
    """

    mean: Tensor
    deviation: Tensor

    @property
    def log_variance(self) -> Tensor:
        """``log(deviation^2 + 1e-6)``: finite, with a bounded slope, at a deviation of zero."""
        return (self.deviation.float().square() + SMALLEST_VARIANCE).log()

    def sample(self) -> Tensor:
        """Draw latents, differentiable in mean and deviation."""
        return self.mean + self.deviation * torch.randn_like(self.deviation)


@dataclass(frozen=True, slots=True)
class Quantised:
    """Latents quantised to the nearest entries of a codebook.

    Attributes:
        encoded: (N, D, *space) output of the encoder.
        quantised: (N, D, *space) nearest entries, differentiable in the codebook.
        indices: (N, *space) indices of these entries.
        entries: size of the codebook.
    """

    encoded: Tensor
    quantised: Tensor
    indices: Tensor
    entries: int

    @property
    def mean(self) -> Tensor:
        """The quantised latents, with a straight-through gradient to the encoder."""
        return self.encoded + (self.quantised - self.encoded).detach()

    def sample(self) -> Tensor:
        """Return the quantised latents, which are deterministic."""
        return self.mean

    def perplexity(self) -> Tensor:
        """Return ``exp(-sum p log p)`` over the entries, the effective number in use."""
        indices = self.indices.flatten()
        ones = torch.ones_like(indices, dtype=torch.float32)
        # Sums of ones are exact in any order, and unlike bincount do not synchronise the device.
        shares = ones.new_zeros(self.entries).index_add(0, indices, ones) / indices.numel()
        return torch.xlogy(shares, shares).sum().neg().exp()
