"""The one LightningModule: any family, any number of optimisers taking turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer

from anomri.family import TOTAL, Batch, Family, Losses
from anomri.recipe import Training
from anomri.training.augmentation import Augmenter
from anomri.training.loading import Sample

TRAIN, VALIDATION = "train", "val"
NEVER = 2**32 - 1  # the epoch number of what must be the same in each epoch


class FamilyTraining(LightningModule):
    """Teaches a family: each phase of a step has its own optimiser and its turn.

    Every random number of a step follows from the seed, the epoch and the step's number alone, so
    that a run that was stopped after an epoch goes on exactly as it would have.

    Args:
        family: what learns.
        training: the recipe's section.
    """

    def __init__(self, family: Family, training: Training) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.family = family
        self.training_options = training
        self.augmenter = Augmenter(training.augmentation, training.noise_squares)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return one Adam per phase."""
        rate = self.training_options.learning_rate
        return [torch.optim.Adam(phase.parameters(), lr=rate) for phase in self.family.phases()]

    def training_step(self, sample: Sample, index: int) -> None:
        """Disturb a batch, then give each phase its turn."""
        images, excluded = sample
        seed = self._seed(self.current_epoch, index)
        batch = self.augmenter.apply(images, excluded, self.augmenter.draw(images, seed))
        for phase, optimizer in zip(self.family.phases(), self._turns(), strict=True):
            optimizer.zero_grad()
            losses = phase.losses(batch)
            self.manual_backward(losses[TOTAL])
            optimizer.step()
            self._log(losses, f"{TRAIN}/{phase.name}/" if phase.name else f"{TRAIN}/", len(images))

    def validation_step(self, sample: Sample, index: int) -> None:
        """Log the losses of undisturbed images; a batch draws the same codes in every epoch."""
        images, excluded = sample
        self._seed(NEVER, index)
        losses = self.family.losses(Batch(images, images, 1 - excluded))
        self._log(losses, f"{VALIDATION}/", len(images))

    def _turns(self) -> list[LightningOptimizer]:
        optimizers: Any = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def _seed(self, epoch: int, index: int) -> int:
        """Set every generator for one step; return its seed."""
        # The number of the process comes last: 0 there changes nothing.
        words = np.random.SeedSequence((self.training_options.seed, epoch, index, self.global_rank))
        seed = int(words.generate_state(1)[0])
        torch.manual_seed(seed)
        return seed

    def _log(self, losses: Losses, prefix: str, count: int) -> None:
        """Keep the mean over the epoch of each named loss."""
        for name, value in losses.items():
            key = prefix + name
            shown = key == f"{VALIDATION}/{TOTAL}"
            self.log(
                key,
                value.detach(),
                on_step=False,
                on_epoch=True,
                prog_bar=shown,
                batch_size=count,
                sync_dist=True,
            )
