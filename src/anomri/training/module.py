"""The one LightningModule: any network, any number of optimisers taking turns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import nn

from anomri.family import TOTAL, Losses, Network, Segmenter
from anomri.recipe import Training
from anomri.training.augmentation import Augmenter
from anomri.training.loading import Sample
from anomri.training.perturbation import Perturber

TRAIN, VALIDATION = "train", "val"
CONVOLUTION = 4  # axes that a kernel has at least: two of channels, two of space
NEVER = 2**32 - 1  # the epoch number of what must be the same in each epoch


class FamilyTraining(LightningModule):
    """Teaches a family or a segmenter: each phase of a step has its own optimiser and its turn.

    Every random number of a step follows from the seed, the epoch and the step's number alone, so
    that a run that was stopped after an epoch goes on exactly as it would have.

    Args:
        family: what learns.
        training: the recipe's section.
    """

    def __init__(self, family: Network, training: Training) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.family = family
        self.training_options = training
        self.augmenter: Any = Augmenter(training.augmentation, training.noise_squares)
        if isinstance(family, Segmenter):
            self.augmenter = Perturber(training.perturbation)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return one Adam per phase."""
        rate = self.training_options.learning_rate
        return [
            torch.optim.Adam(self._groups(phase.parameters()), lr=rate)
            for phase in self.family.phases()
        ]

    def on_train_epoch_start(self) -> None:
        """Set the learning rate of this epoch, which depends on its number alone."""
        options = self.training_options
        left = 1 - self.current_epoch / options.max_epochs
        for optimizer in self._turns():
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * left**options.decay_exponent

    def training_step(self, sample: Sample, index: int) -> None:
        """Disturb a batch, then give each phase its turn."""
        images, marks = sample
        seed = self._seed(self.current_epoch, index)
        batch = self.augmenter.apply(images, marks, self.augmenter.draw(images, seed))
        for phase, optimizer in zip(self.family.phases(), self._turns(), strict=True):
            optimizer.zero_grad()
            losses = phase.losses(batch)
            self.manual_backward(losses[TOTAL])
            optimizer.step()
            self._log(losses, f"{TRAIN}/{phase.name}/" if phase.name else f"{TRAIN}/", len(images))

    def validation_step(self, sample: Sample, index: int) -> None:
        """Log the losses of undisturbed images; a batch draws the same codes in every epoch."""
        images, marks = sample
        self._seed(NEVER, index)
        losses = self.family.losses(self.augmenter.undisturbed(images, marks))
        self._log(losses, f"{VALIDATION}/", len(images))

    def _groups(self, parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
        """Set the kernels of convolutions, which decay, apart from the rest."""
        learnt = list(parameters)
        decay = self.training_options.weight_decay
        if not decay:
            return [{"params": learnt}]
        kernels = [p for p in learnt if p.ndim >= CONVOLUTION]
        others = [p for p in learnt if p.ndim < CONVOLUTION]
        return [{"params": kernels, "weight_decay": decay}, {"params": others}]

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
