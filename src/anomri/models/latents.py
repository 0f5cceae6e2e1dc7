"""What an encoder says of the code of an image: a point, a distribution, or entries of a book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

SMALLEST_VARIANCE = 1e-6


class Latent(Protocol):
    """What an encoder says of a code."""

    @property
    def mean(self) -> Tensor:
        """(N, D, *space), the code that reconstruction decodes."""

    def sample(self) -> Tensor:
        """Draw one code, differentiable in what the encoder said."""


@dataclass(frozen=True, slots=True)
class Point:
    """A code without a distribution.

    Attributes:
        mean: (N, D, *space).
    """

    mean: Tensor

    def sample(self) -> Tensor:
        """Return the code."""
        return self.mean


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A diagonal normal distribution over latent codes.

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
        """Draw one code, differentiable in mean and deviation."""
        return self.mean + self.deviation * torch.randn_like(self.deviation)


@dataclass(frozen=True, slots=True)
class Quantised:
    """A code whose vectors were exchanged for the nearest of a codebook's.

    Attributes:
        encoded: (N, D, *space), what the encoder gave.
        chosen: (N, D, *space), the nearest vectors, differentiable in the codebook.
        numbers: (N, *space), which ones they are.
        entries: vectors in the codebook.
    """

    encoded: Tensor
    chosen: Tensor
    numbers: Tensor
    entries: int

    @property
    def mean(self) -> Tensor:
        """The chosen vectors; their gradient goes straight through to the encoder."""
        return self.encoded + (self.chosen - self.encoded).detach()

    def sample(self) -> Tensor:
        """Return the chosen vectors: there is nothing to draw."""
        return self.mean

    def perplexity(self) -> Tensor:
        """``exp(-sum p log p)`` over the entries: as many as are in use, were they used alike."""
        numbers = self.numbers.flatten()
        once = torch.ones_like(numbers, dtype=torch.float32)
        # Sums of ones are exact in any order, and unlike a bincount do not wait for the device.
        shares = once.new_zeros(self.entries).index_add(0, numbers, once) / numbers.numel()
        return torch.xlogy(shares, shares).sum().neg().exp()
