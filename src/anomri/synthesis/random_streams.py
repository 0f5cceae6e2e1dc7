"""Random numbers for a batch of patients: each patient has a stream of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class RandomStreams:
    """One stream of random numbers per patient, whatever else is in the batch.

    Parameters are drawn on the CPU, so that no choice waits for the device; noise is drawn on the
    device. The same seed therefore gives other noise on another kind of device.

    Args:
        seeds: one per patient, of any integers of at least 0.
        device: device on which the patients are drawn.
    """

    def __init__(self, seeds: Sequence[Sequence[int]], device: torch.device) -> None:
        states = [np.random.SeedSequence(seed).generate_state(2, np.uint64) for seed in seeds]
        self.device = device
        self._parameters = [torch.Generator().manual_seed(int(one >> 1)) for one, _ in states]
        self._noise = [torch.Generator(device).manual_seed(int(two >> 1)) for _, two in states]

    def __len__(self) -> int:
        """Count the patients."""
        return len(self._parameters)

    def of(self, chosen: Sequence[int]) -> RandomStreams:
        """Return the streams of some patients; what is drawn from them advances these too."""
        part = RandomStreams([], self.device)
        part._parameters = [self._parameters[n] for n in chosen]
        part._noise = [self._noise[n] for n in chosen]
        return part

    def chosen(self, probability: float) -> list[int]:
        """Return the numbers of the patients to which something of this probability happens."""
        return [n for n, number in enumerate(self.numbers()) if number < probability]

    def numbers(self, low: float = 0, high: float = 1) -> list[float]:
        """Return a uniform number per patient."""
        return [float(row[0]) for row in self._uniform(low, high, 1)]

    def log_numbers(self, low: float, high: float) -> list[float]:
        """Return a number per patient whose logarithm is uniform."""
        return [math.exp(number) for number in self.numbers(math.log(low), math.log(high))]

    def integers(self, low: int, high: int) -> list[int]:
        """Return an integer per patient, at least ``low`` and less than ``high``."""
        return [min(int(number), high - 1) for number in self.numbers(low, high)]

    def uniform(self, low: float, high: float) -> Tensor:
        """Return (N, 1, 1, 1) uniform numbers, to multiply volumes with."""
        return self._uniform(low, high, 1)[..., None, None].to(self.device)

    def uniforms(self, low: float, high: float, count: int) -> Tensor:
        """Return (N, count) uniform numbers."""
        return self._uniform(low, high, count).to(self.device)

    def normal(self, count: int) -> Tensor:
        """Return (N, count) numbers from N(0, 1)."""
        rows = [torch.randn(count, generator=generator) for generator in self._parameters]
        return torch.stack(rows).to(self.device)

    def noise(self, shapes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return noise from N(0, 1) per patient, in the shape that it asks for."""
        return [
            torch.randn(*shape, generator=generator, device=self.device)
            for shape, generator in zip(shapes, self._noise, strict=True)
        ]

    def _uniform(self, low: float, high: float, count: int) -> Tensor:
        rows = [torch.rand(count, generator=generator) for generator in self._parameters]
        return low + (high - low) * (torch.stack(rows) if rows else torch.empty(0, count))
