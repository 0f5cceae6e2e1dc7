"""Lightning's trainer, set up for a run folder, and its manners towards the user."""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch.utils.data import DataLoader

from anomri.devices import choose_device
from anomri.errors import UsageError
from anomri.files import LOGS, exit_with_parent
from anomri.recipe import Training
from anomri.training.launching import QuietLauncher, losses_named
from anomri.training.loading import Sample
from anomri.training.module import NetworkTraining
from anomri.training.resume import SafetensorsIO
from anomri.training.run_record import RunRecord

PRECISIONS: Mapping[str, Literal["32-true", "bf16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
}


class RunProgress(RichProgressBar):
    """A bar for the epoch, and beside it the most that all epochs together will still take."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._began_at = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._began, self._began_at = time.monotonic(), trainer.current_epoch

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands beside the bar."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        done = trainer.current_epoch - self._began_at
        if done > 0 and trainer.max_epochs:
            each = (time.monotonic() - self._began) / done
            left = timedelta(seconds=round(each * (trainer.max_epochs - trainer.current_epoch)))
            shown["left"] = str(left)
        return shown


def limits_of(max_steps: int | None, *, batches: int, phases: int) -> dict[str, Any]:
    """Return the trainer's limits; a shorter epoch still ends with its validation."""
    if max_steps is None:
        return {}
    return {"max_steps": max_steps * phases, "limit_train_batches": min(max_steps, batches)}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a training runs on; nothing of it belongs to the recipe.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        processes: that train together, each with a device of its own and its share of each epoch.
        phases: turns in a training step. With several, some parameters have no gradient in each.
        precision: ``float32``, ``bfloat16`` for the layers that bear it, or ``auto``: bfloat16
            where a CUDA device computes in it.
    """

    device: str = "auto"
    processes: int = 1
    phases: int = 1
    precision: str = "auto"

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]

    @property
    def devices(self) -> list[int] | int:
        """Which devices, or how many of them."""
        _, _, index = self.device.partition(":")
        return [int(index)] if index else self.processes

    def strategy(self) -> Strategy | str:
        """Return how processes keep their weights equal; started anew, they share no state.

        Gradients are averaged. The running means of batch norm are those of the first process
        (on CUDA all processes' statistics are taken together).
        """
        if self.processes == 1:
            return "auto"
        return QuietDDP(start_method="spawn", find_unused_parameters=self.phases > 1)

    def computes_in(self) -> Literal["32-true", "bf16-mixed"]:
        """Return Lightning's word for the precision.

        Raises:
            UsageError: there is no such precision.
        """
        if self.precision in PRECISIONS:
            return PRECISIONS[self.precision]
        if self.precision != "auto":
            raise UsageError(
                f"precision '{self.precision}': expected one of auto, {', '.join(PRECISIONS)}."
            )
        short = on_cuda(self.kind) and torch.cuda.is_bf16_supported(including_emulation=False)
        return PRECISIONS["bfloat16" if short else "float32"]


def make_trainer(
    training: Training, run: Path, machine: Machine, *, progress: bool, **limits: Any
) -> Trainer:
    """Return the trainer.

    Raises:
        UsageError: the device is not there.
    """
    kind = machine.kind
    choose_device(machine.device)
    try:
        return Trainer(
            accelerator=kind,
            devices=machine.devices,
            strategy=machine.strategy(),
            use_distributed_sampler=False,  # the loader's own order is resumed exactly
            sync_batchnorm=machine.processes > 1 and on_cuda(kind),
            precision=machine.computes_in(),
            max_epochs=training.max_epochs,
            default_root_dir=run,
            logger=TensorBoardLogger(run, name=LOGS, version=""),
            callbacks=[
                RunRecord(run, patience=training.patience),
                *([RunProgress()] if progress else []),
            ],
            plugins=[SafetensorsIO()],
            num_sanity_val_steps=0,
            log_every_n_steps=0,  # each epoch is logged, no step is
            enable_progress_bar=progress,
            enable_model_summary=False,
            **limits,
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise UsageError(
            f"device '{machine.device}': expected one that this machine has; {_first_line(error)}. "
            "Next: use `auto`."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def on_cuda(kind: str) -> bool:
    """Tell whether a device of this kind is a CUDA device."""
    return kind in ("auto", "cuda", "gpu") and torch.cuda.is_available()


def fit(
    trainer: Trainer, module: NetworkTraining, loaders: Sequence[DataLoader[Sample]], state: Path
) -> None:
    """Train to the end, from ``state`` if it is there.

    Raises:
        KeyboardInterrupt: Lightning turns Ctrl-C into an exit and ignores the next one; both are
            undone here.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    train, validation = loaders
    try:
        with losses_named():
            trainer.fit(module, train, validation, ckpt_path=state if state.is_file() else None)
    except SystemExit as stop:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, interrupt)
        raise KeyboardInterrupt from stop


class QuietDDP(DDPStrategy):
    """Processes that train together and say nothing about it; each begins with Lightning's ways."""

    def _configure_launcher(self) -> None:
        self._launcher = QuietLauncher(self, start_method="spawn")

    def setup_environment(self) -> None:
        """Be quiet, then meet the others."""
        hush()
        exit_with_parent(os.getppid())
        super().setup_environment()


def hush() -> None:
    """Keep Lightning's remarks about itself from the user, for as long as this process lives."""
    for logger in _loggers():
        logger.setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's remarks about itself from the user."""
    levels = [(logger, logger.level) for logger in _loggers()]
    try:
        with warnings.catch_warnings():
            hush()
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)


def _loggers() -> list[logging.Logger]:
    return [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
