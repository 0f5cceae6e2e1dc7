"""The contracts that every network keeps, and the little that training and scoring know of it.

A :class:`Reconstructor` learns healthy anatomy. It owns its objective, so that training only ever
sees named scalars and scoring only ever sees a healthy version of an image.
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
    """What one training step sees.

    Attributes:
        image: (N, C, *space) float32, the network's input, disturbed or not.
        target: (N, C, *space) float32, what it should give back; for a :class:`Segmenter` the
            (N, R, *space) region masks.
        weight: (N, 1, *space) float32, 1 where a voxel counts in the loss, 0 where not.
    """

    image: Tensor
    target: Tensor
    weight: Tensor

    @classmethod
    def of(cls, image: Tensor) -> Batch:
        """A batch whose target is its input and in which every voxel counts."""
        return cls(image, image, torch.ones_like(image[:, :1]))


@dataclass(frozen=True, slots=True)
class Phase:
    """One optimiser's turn within a training step.

    Attributes:
        name: prefix of the logged losses.
        parameters: what this phase's optimiser moves.
        losses: maps a batch to named scalars; the one called ``loss`` is minimised.
    """

    name: str
    parameters: Callable[[], Iterable[nn.Parameter]]
    losses: Callable[[Batch], Losses]


class Network(nn.Module, ABC):
    """What training knows of anything that learns.

    Attributes:
        channels: contrasts per image.
        size: spatial shape of one image, ``(I, J)`` for a network of slices, ``(I, J, K)`` for
            one of volumes.
        name: what recipes call it; kept beside its weights.
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
        """Return the turns of one training step; adversaries return two."""
        return (Phase("", self.parameters, self.losses),)


class Reconstructor(Network):
    """A network that learns healthy anatomy; scoring pads and crops scans to its size."""

    @abstractmethod
    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the healthy version of ``images``, same shape, without any randomness."""


class Segmenter(Network):
    """The supervised counterpart of a :class:`Reconstructor`: learns regions that experts drew.

    The target of its batches is not the image but its (N, R, *space) region masks, in the order of
    ``REGIONS``; each region holds the next.
    """

    @abstractmethod
    def segment(self, images: Tensor) -> Tensor:
        """Return (N, R, *space) probabilities of the nested regions, without any randomness."""
