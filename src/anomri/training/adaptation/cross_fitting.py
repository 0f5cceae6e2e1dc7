"""Training of one network on the scans of one half."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from anomri.models import TOTAL, FoldedSegmenter, weighted_losses
from anomri.training.adaptation.batches import draw_batch
from anomri.training.adaptation.examples import Example
from anomri.training.training_state import Progress, TrainingSchedule, TrainingState

# Lesion, core and enhancing tumour; the latter two count where the masks name them.
WITH_REGIONS, WITHOUT_REGIONS = (1.0, 0.7, 0.8), (1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationSchedule(TrainingSchedule):
    """Training schedule of an adapted network.

    Attributes:
        batch: crops per step.
        shape: voxels of a crop, multiples of 16: about a whole brain, since the network
            normalises its features over all that it sees.
        spacing: side of the voxels in mm.
        pasted: share of the crops from scans with a pasted lesion.
    """

    steps: int = 64
    learning_rate: float = 1e-3
    warmup: int = 10
    weight_decay: float = 1e-5
    max_gradient_norm: float = 5.0
    average: float = 0.98
    validation_interval: int = 8
    batch: int = 2
    shape: tuple[int, int, int] = (80, 96, 80)
    spacing: float = 2.0
    pasted: float = 0.4


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time at which training ends, on the clock of :func:`time.monotonic`; None for none."""

    at: float | None = None

    @classmethod
    def after(cls, minutes: float | None) -> Deadline:
        """Return the deadline that many minutes from now."""
        return cls(None if minutes is None else time.monotonic() + 60 * minutes)

    def first_of(self, parts: int) -> Deadline:
        """Return the end of the first of so many equal parts of the time left."""
        if self.at is None:
            return self
        now = time.monotonic()
        return Deadline(now + (self.at - now) / parts)

    @property
    def passed(self) -> bool:
        """Whether it is past."""
        return self.at is not None and time.monotonic() >= self.at


def train_fold(  # noqa: PLR0913 - a training's parts
    build: Callable[[], FoldedSegmenter],
    examples: Sequence[Example],
    state_file: Path,
    schedule: AdaptationSchedule,
    *,
    half: int = 0,
    deadline: Deadline = Deadline(),
    stop: int | None = None,
    progress: Progress | None = None,
) -> TrainingState[FoldedSegmenter]:
    """Train a network on the label-free masks of one half of the scans.

    The batch of a step depends on the seed, the half and the step alone: a training that was
    stopped ends as an uninterrupted one.

    Args:
        build: returns the network that training starts from, on its device.
        examples: the scans of the half.
        state_file: where the state is kept; training resumes from it.
        schedule: training schedule.
        half: number of the half.
        deadline: when to stop before the last step; the averaged weights are used as they are.
        stop: end after this step, as if interrupted.
        progress: progress display.
    """
    state = TrainingState.start(build, state_file, schedule)
    remaining = state.remaining(stop)
    for step in progress(remaining, f"training on half {half + 1}") if progress else remaining:
        if deadline.passed and state.step:
            break
        image, regions, weights = draw_batch(
            examples,
            batch=schedule.batch,
            shape=schedule.shape,
            pasted=schedule.pasted,
            seed=(schedule.seed, half, step),
        )
        state.learn(lambda network: loss(network, image, regions, weights))  # noqa: B023 - used at once
        if state.is_validation_step():
            state.save(state_file)
    return state


def loss(network: FoldedSegmenter, image: Tensor, regions: Tensor, weights: Tensor) -> Tensor:
    """Return the network's loss; an image counts by its weight, relative to the batch size.

    Args:
        network: the network.
        image: (N, C, I, J, K).
        regions: (N, R, I, J, K) float32.
        weights: (N,).
    """
    device = next(network.parameters()).device
    image, regions, weights = (part.to(device) for part in (image, regions, weights))
    named = regions[:, 1:].flatten(1).any(1)
    by_region = torch.where(
        named[:, None],
        torch.tensor(WITH_REGIONS, device=device),
        torch.tensor(WITHOUT_REGIONS, device=device),
    )
    return weighted_losses(network.logits(image), regions, weights[:, None] * by_region)[TOTAL]
