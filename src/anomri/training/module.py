"""The one LightningModule: any network, any number of optimisers taking turns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from anomri.models import TOTAL, Losses, Network, Segmenter
from anomri.recipe import Training
from anomri.training.augmentation import Augmenter
from anomri.training.loading import Sample
from anomri.training.perturbation import Perturber

TRAIN, VALIDATION = "train", "val"
CONVOLUTION = 4  # axes that a kernel has at least: two of channels, two of space
NEVER = 2**32 - 1  # the epoch number of what must be the same in each epoch


class Means:
    """Means of named losses over the images of an epoch, added up where the losses are.

    Lightning's own way of taking them costs a small network a tenth of each step.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: Losses, prefix: str, count: int) -> None:
        """Add the losses of a batch of so many images."""
        for name, value in losses.items():
            key, total = prefix + name, value.detach() * count
            self._sums[key] = self._sums[key] + total if key in self._sums else total
            self._counts[key] = self._counts.get(key, 0) + count

    def take(self, prefix: str) -> dict[str, Tensor]:
        """Return the means whose names begin with ``prefix``, and forget them."""
        names = [name for name in self._sums if name.startswith(prefix)]
        return {name: self._sums.pop(name) / self._counts.pop(name) for name in names}


class NetworkTraining(LightningModule):
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
        self.means = Means()
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
            prefix = f"{TRAIN}/{phase.name}/" if phase.name else f"{TRAIN}/"
            self.means.add(losses, prefix, len(images))

    def on_train_epoch_end(self) -> None:
        """Log the epoch's losses."""
        self._log(TRAIN)

    def validation_step(self, sample: Sample, index: int) -> None:
        """Log the losses of undisturbed images; a batch draws the same codes in every epoch."""
        images, marks = sample
        self._seed(NEVER, index)
        losses = self.family.losses(self.augmenter.undisturbed(images, marks))
        self.means.add(losses, f"{VALIDATION}/", len(images))

    def on_validation_epoch_end(self) -> None:
        """Log the losses of all validation images."""
        self._log(VALIDATION)

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

    def _log(self, side: str) -> None:
        """Log the means of one side, over all processes, and start anew."""
        for name, value in self.means.take(f"{side}/").items():
            self.log(name, value, prog_bar=name == f"{VALIDATION}/{TOTAL}", sync_dist=True)
