"""LightningModule for any network with any number of alternating optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from anomri.errors import UsageError
from anomri.models import TOTAL, Batch, Losses, Network, Phase, Segmenter
from anomri.recipe import Training
from anomri.training.augmentation import Augmenter
from anomri.training.loading import Sample
from anomri.training.perturbation import Perturber

TRAIN, VALIDATION = "train", "val"
KERNEL_AXES = 4  # fewest axes of a convolution kernel: two of channels, two of space
VALIDATION_EPOCH = 2**32 - 1  # seeds validation, which is the same in each epoch


class LossMeans:
    """Means of named losses over the images of an epoch, accumulated on the device.

    Lightning's own accumulation takes a tenth of each step of a small network.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: Losses, prefix: str, count: int) -> None:
        """Add the losses of a batch of ``count`` images."""
        for name, value in losses.items():
            key, total = prefix + name, value.detach() * count
            self._sums[key] = self._sums[key] + total if key in self._sums else total
            self._counts[key] = self._counts.get(key, 0) + count

    def pop(self, prefix: str) -> dict[str, Tensor]:
        """Remove and return the means whose names begin with ``prefix``."""
        names = [name for name in self._sums if name.startswith(prefix)]
        return {name: self._sums.pop(name) / self._counts.pop(name) for name in names}


class NetworkTraining(LightningModule):
    """Training of a network; each of its phases has an optimiser of its own.

    The random numbers of a step depend on the seed, the epoch and the step's number alone, so that
    a resumed training gives the same result as an uninterrupted one.

    Args:
        network: the network.
        training: the recipe's section.
        compiled: compile the losses of each phase by ``torch.compile``.
    """

    def __init__(self, network: Network, training: Training, *, compiled: bool = False) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.family = network  # checkpoints hold its weights by this name
        self.training_options = training
        self.means = LossMeans()
        self.compiled = compiled
        self._compiled_losses: dict[str, Callable[[Batch], Losses]] = {}  # by phase
        self.augmenter: Any = Augmenter(training.augmentation, training.noise_squares)
        if isinstance(network, Segmenter):
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
        remaining = 1 - self.current_epoch / options.max_epochs
        for optimizer in self._optimizers():
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * remaining**options.decay_exponent

    def training_step(self, sample: Sample, index: int) -> None:
        """Augment a batch and take one step of each phase."""
        images, masks = sample
        seed = self._seed(self.current_epoch, index)
        batch = self.augmenter.apply(images, masks, self.augmenter.draw(images, seed))
        for phase, optimizer in zip(self.family.phases(), self._optimizers(), strict=True):
            optimizer.zero_grad()
            losses = self._losses(phase, batch)
            self.manual_backward(losses[TOTAL])
            optimizer.step()
            prefix = f"{TRAIN}/{phase.name}/" if phase.name else f"{TRAIN}/"
            self.means.add(losses, prefix, len(images))

    def on_train_epoch_end(self) -> None:
        """Log the epoch's losses."""
        self._log(TRAIN)

    def validation_step(self, sample: Sample, index: int) -> None:
        """Add the losses without augmentation, with the same random latents in each epoch."""
        images, masks = sample
        self._seed(VALIDATION_EPOCH, index)
        losses = self.family.losses(self.augmenter.unchanged(images, masks))
        self.means.add(losses, f"{VALIDATION}/", len(images))

    def on_validation_epoch_end(self) -> None:
        """Log the losses of all validation images."""
        self._log(VALIDATION)

    def _losses(self, phase: Phase, batch: Batch) -> Losses:
        """Return the losses of a phase.

        Raises:
            UsageError: they cannot be compiled.
        """
        if not self.compiled:
            return phase.losses(batch)
        # Imported here because it takes a second to load.
        from torch._dynamo.exc import TorchDynamoException

        if phase.name not in self._compiled_losses:
            # All batches have the same shape, and code for one shape is faster.
            self._compiled_losses[phase.name] = torch.compile(phase.losses, dynamic=False)
        try:
            return self._compiled_losses[phase.name](batch)
        except TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"compile: PyTorch cannot compile this network here: {reason}. "
                "Next: install a C++ compiler, such as g++, or train without --compile."
            ) from error

    def _groups(self, parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
        """Return parameter groups, with weight decay for convolution kernels only."""
        parameters = list(parameters)
        decay = self.training_options.weight_decay
        if not decay:
            return [{"params": parameters}]
        kernels = [p for p in parameters if p.ndim >= KERNEL_AXES]
        others = [p for p in parameters if p.ndim < KERNEL_AXES]
        return [{"params": kernels, "weight_decay": decay}, {"params": others}]

    def _optimizers(self) -> list[LightningOptimizer]:
        optimizers: Any = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def _seed(self, epoch: int, index: int) -> int:
        """Seed all generators for one step; return the seed."""
        # The rank comes last: a trailing 0 does not change the seed.
        entropy = (self.training_options.seed, epoch, index, self.global_rank)
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        torch.manual_seed(seed)
        return seed

    def _log(self, stage: str) -> None:
        """Log the means of a stage over all processes, and reset them."""
        for name, value in self.means.pop(f"{stage}/").items():
            self.log(name, value, prog_bar=name == f"{VALIDATION}/{TOTAL}", sync_dist=True)
