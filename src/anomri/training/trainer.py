"""Lightning's trainer, configured for a run folder and without its own messages."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import distributed
from torch.utils.data import DataLoader

from anomri.errors import AnomriError, UsageError
from anomri.files import LOGS, exit_with_parent
from anomri.models import choose_device
from anomri.recipe import Training
from anomri.training.launching import QuietLauncher, readable_process_errors
from anomri.training.loading import Sample
from anomri.training.module import NetworkTraining
from anomri.training.resume import SafetensorsIO
from anomri.training.run_record import RunRecord

NODE_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")

log = logging.getLogger(__name__)

PRECISIONS: Mapping[str, Literal["32-true", "bf16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
}


class RunProgress(RichProgressBar):
    """Progress bar of the epoch, with the remaining time of all epochs at most."""

    def __init__(self) -> None:
        super().__init__()
        self._start = time.monotonic()
        self._first_epoch = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the start time."""
        super().on_train_start(trainer, pl_module)
        self._start, self._first_epoch = time.monotonic(), trainer.current_epoch

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return the metrics beside the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        done = trainer.current_epoch - self._first_epoch
        if done > 0 and trainer.max_epochs:
            seconds = (time.monotonic() - self._start) / done
            left = timedelta(seconds=round(seconds * (trainer.max_epochs - trainer.current_epoch)))
            metrics["left"] = str(left)
        return metrics


def step_limits(max_steps: int | None, *, batches: int, phases: int) -> dict[str, Any]:
    """Return the trainer's limits for ``max_steps``; a shortened epoch ends with validation."""
    if max_steps is None:
        return {}
    return {"max_steps": max_steps * phases, "limit_train_batches": min(max_steps, batches)}


@dataclass(frozen=True, slots=True)
class Machine:
    """Hardware settings of a training, which are not part of the recipe.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        processes: distributed processes of each machine, each with its own device and share of an
            epoch.
        nodes: number of machines; see :func:`check_nodes`.
        phases: phases of a training step; with several, each leaves parameters without gradient.
        precision: ``float32``, ``bfloat16`` (mixed precision), or ``auto``: bfloat16 on CUDA
            devices that support it.
    """

    device: str = "auto"
    processes: int = 1
    nodes: int = 1
    phases: int = 1
    precision: str = "auto"

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]

    @property
    def devices(self) -> list[int] | int:
        """Indices of the devices, or their number."""
        _, _, index = self.device.partition(":")
        return [int(index)] if index else self.processes

    @property
    def all_processes(self) -> int:
        """Number of processes of all machines."""
        return self.processes * self.nodes

    @property
    def is_first_node(self) -> bool:
        """Whether this machine is the only one, or the one that writes the run folder."""
        return self.nodes == 1 or int(os.environ["NODE_RANK"]) == 0

    def strategy(self) -> Strategy | str:
        """Return the strategy of distributed training, with spawned processes.

        Gradients are averaged. The running means of batch norm are those of rank 0; on CUDA the
        batch statistics of all processes are combined.
        """
        if self.all_processes == 1:
            return "auto"
        return QuietDDP(start_method="spawn", find_unused_parameters=self.phases > 1)

    def computes_in(self) -> Literal["32-true", "bf16-mixed"]:
        """Return Lightning's name of the precision.

        Raises:
            UsageError: unknown precision.
        """
        if self.precision in PRECISIONS:
            return PRECISIONS[self.precision]
        if self.precision != "auto":
            raise UsageError(
                f"precision '{self.precision}': expected one of auto, {', '.join(PRECISIONS)}. "
                "Next: choose one."
            )
        bfloat16 = on_cuda(self.kind) and torch.cuda.is_bf16_supported(including_emulation=False)
        return PRECISIONS["bfloat16" if bfloat16 else "float32"]


def make_trainer(
    training: Training, run: Path, machine: Machine, *, progress: bool, **limits: Any
) -> Trainer:
    """Return the configured trainer.

    Raises:
        UsageError: the device is missing, or this machine does not know its place among several.
    """
    kind = machine.kind
    choose_device(machine.device)
    check_nodes(machine.nodes)
    try:
        return Trainer(
            accelerator=kind,
            devices=machine.devices,
            num_nodes=machine.nodes,
            strategy=machine.strategy(),
            use_distributed_sampler=False,  # `EpochShuffle` can be resumed exactly
            sync_batchnorm=machine.all_processes > 1 and on_cuda(kind),
            precision=machine.computes_in(),
            max_epochs=training.max_epochs,
            default_root_dir=run,
            logger=TensorBoardLogger(run, name=LOGS, version=""),
            callbacks=[
                RunRecord(run, patience=training.patience),
                *([RunProgress()] if progress else []),
            ],
            # Not the scheduler's environment: each machine starts its processes itself.
            plugins=[SafetensorsIO(), LightningEnvironment()],
            num_sanity_val_steps=0,
            log_every_n_steps=0,  # epochs are logged, steps are not
            enable_progress_bar=progress,
            enable_model_summary=False,
            **limits,
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise UsageError(
            f"device '{machine.device}': expected one that this machine has; {_first_line(error)}. "
            "Next: use `auto`."
        ) from error


def check_nodes(nodes: int) -> None:
    """Check that this machine knows its place among those that train together.

    They find each other by PyTorch's variables, which job schedulers can set.

    Raises:
        UsageError: there are several machines, and a variable is missing or no number.
    """
    if nodes == 1:
        return
    missing = [name for name in NODE_VARIABLES if not os.environ.get(name)]
    rank, port = (os.environ.get(name, "") for name in ("NODE_RANK", "MASTER_PORT"))
    if missing or not (rank.isdigit() and int(rank) < nodes and port.isdigit()):
        raise UsageError(
            f"nodes {nodes}: expected the address of the first machine in MASTER_ADDR, a free port "
            f"of it in MASTER_PORT, and this machine's number, 0 to {nodes - 1}, in NODE_RANK; "
            f"got {', '.join(f'no {name}' for name in missing) or f'{rank} and port {port}'}. "
            "Next: set them as in docs/training.md, or train on one machine."
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def on_cuda(kind: str) -> bool:
    """Tell whether a device of this kind is a CUDA device."""
    return kind in ("auto", "cuda", "gpu") and torch.cuda.is_available()


def fit(
    trainer: Trainer, module: NetworkTraining, loaders: Sequence[DataLoader[Sample]], state: Path
) -> None:
    """Train to the end, resuming from ``state`` if it exists.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed. Lightning converts it into an exit and ignores the
            next one; both are reverted here.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    train, validation = loaders
    try:
        with readable_process_errors():
            trainer.fit(module, train, validation, ckpt_path=state if state.is_file() else None)
    except SystemExit as stop:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, interrupt)
        raise KeyboardInterrupt from stop


class QuietDDP(DDPStrategy):
    """Distributed data parallel training without Lightning's messages."""

    def _configure_launcher(self) -> None:
        self._launcher = QuietLauncher(self, start_method="spawn")

    def setup_environment(self) -> None:
        """Silence Lightning, then set up the process group.

        Raises:
            AnomriError: a process cannot be reached.
        """
        silence_lightning()
        exit_with_parent(os.getppid())
        try:
            super().setup_environment()
        except distributed.DistError as error:
            raise AnomriError(
                f"the processes of this training do not reach each other: {_first_line(error)}. "
                "Next: check MASTER_ADDR and MASTER_PORT, and that each of the machines runs this "
                "command."
            ) from error


def silence_lightning() -> None:
    """Suppress Lightning's messages and warnings in this process."""
    for logger in _loggers():
        logger.setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning|torch\._(dynamo|inductor)")


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Lightning's messages and warnings, and tracebacks of threads, within the context.

    TensorBoard's thread raises what fails, such as on a full disk, in the main thread again.
    """
    levels = [(logger, logger.level) for logger in _loggers()]
    before, threading.excepthook = threading.excepthook, _log_failure
    try:
        with warnings.catch_warnings():
            silence_lightning()
            yield
    finally:
        threading.excepthook = before
        for logger, level in levels:
            logger.setLevel(level)


def _log_failure(failure: threading.ExceptHookArgs) -> None:
    log.debug("a thread of the training failed", exc_info=failure.exc_value)


def _loggers() -> list[logging.Logger]:
    return [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
