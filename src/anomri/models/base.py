"""Interfaces of the networks: all that training and scoring depend on.

A :class:`Reconstructor` learns healthy anatomy, a :class:`Segmenter` labelled regions. Each network
computes its own losses: training sees named scalars only, and scoring sees reconstructions or
probabilities only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

TOTAL = "loss"

Losses = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Batch:
    """Data of one training step.

    Attributes:
        image: (N, C, *space) float32 input, augmented or not.
        target: (N, C, *space) float32 expected output; for a :class:`Segmenter` the
            (N, R, *space) region masks.
        weight: (N, 1, *space) float32, 1 for voxels that count in the loss, else 0.
    """

    image: Tensor
    target: Tensor
    weight: Tensor

    @classmethod
    def of(cls, image: Tensor) -> Batch:
        """Return a batch whose target is its input, with all weights 1."""
        return cls(image, image, torch.ones_like(image[:, :1]))


@dataclass(frozen=True, slots=True)
class Phase:
    """Step of one optimiser within a training step.

    Attributes:
        name: prefix of the logged losses.
        parameters: returns the parameters that this optimiser updates.
        losses: maps a batch to named scalars; the one called ``loss`` is minimised.
    """

    name: str
    parameters: Callable[[], Iterable[nn.Parameter]]
    losses: Callable[[Batch], Losses]


class Network(nn.Module, ABC):
    """Base class of everything that can be trained.

    Attributes:
        channels: number of contrasts per image.
        size: spatial shape of one image, ``(I, J)`` for a network of slices, ``(I, J, K)`` for
            one of volumes.
        name: name in recipes; stored with the weights.
    """

    name: str = ""

    def __init__(self, *, channels: int, size: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        self.size = size

    @property
    def has_parameters(self) -> bool:
        """Whether there is anything to train: brightness alone is a network without weights."""
        return next(self.parameters(), None) is not None

    @abstractmethod
    def losses(self, batch: Batch) -> Losses:
        """Return named scalars; the one called ``loss`` is what training minimises."""

    def phases(self) -> tuple[Phase, ...]:
        """Return the phases of one training step; adversarial networks have two."""
        return (Phase("", self.parameters, self.losses),)


class Reconstructor(Network):
    """A network that learns healthy anatomy. Scans are padded or cropped to its size."""

    @abstractmethod
    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the healthy reconstruction of ``images``, of the same shape; deterministic."""


class Segmenter(Network):
    """A supervised network that learns labelled regions.

    The target of its batches is the (N, R, *space) region masks in the order of ``REGIONS``; each
    region contains the next.
    """

    @abstractmethod
    def segment(self, images: Tensor) -> Tensor:
        """Return (N, R, *space) probabilities of the nested regions; deterministic."""
