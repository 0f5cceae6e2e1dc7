"""What a training leaves behind while it runs: metrics, the best weights, the state to resume from.

::

    run/
      recipe.yaml           as resolved
      environment.json      versions, device, seed, subjects
      metrics.tsv           one row per epoch
      logs/                 TensorBoard
      resume/               until the training has ended: state and best weights so far
      weights.safetensors   once it has ended: the weights of the epoch with the best validation
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from anomri.errors import AnomriError
from anomri.family import TOTAL
from anomri.models import save_weights
from anomri.training.module import VALIDATION, FamilyTraining
from anomri.tsv import write_tsv

METRICS, WEIGHTS, LOGS = "metrics.tsv", "weights.safetensors", "logs"
STATE, BEST = "resume/state.safetensors", "resume/best.safetensors"

log = logging.getLogger(__name__)


class RunRecord(Checkpoint):
    """Writes the run folder after each validated epoch, and stops when nothing improves.

    Being Lightning's ``Checkpoint``, it is called after every other callback, so that the state it
    saves is complete.

    Args:
        run: the run folder.
        patience: epochs without a better validation loss after which training stops.
    """

    def __init__(self, run: Path, *, patience: int) -> None:
        self.run = run
        self.patience = patience
        self.rows: list[dict[str, float]] = []
        self.best_epoch = -1
        self.best_loss = math.inf
        self.validated = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {"rows": self.rows, "best_epoch": self.best_epoch, "best_loss": self.best_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the former run stopped."""
        self.rows = state_dict["rows"]
        self.best_epoch = state_dict["best_epoch"]
        self.best_loss = state_dict["best_loss"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn no more where the former run had come to its end and was killed just then."""
        del pl_module
        if self.rows and self._is_out_of_patience(int(self.rows[-1]["epoch"])):
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that this epoch has been validated."""
        del trainer, pl_module
        self.validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write everything about the epoch that has ended.

        Raises:
            AnomriError: the validation loss is not a number any more.
        """
        if not self.validated:  # cut short by `max_steps`
            return
        self.validated = False
        # Every process knows the same metrics and decides alike; the first one writes.
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        better = self._note(trainer.current_epoch, metrics)
        if better and trainer.is_global_zero and isinstance(pl_module, FamilyTraining):
            save_weights(pl_module.family, self.run / BEST)
        if trainer.is_global_zero:
            columns = list(self.rows[0])
            rows = [[row[name] for name in columns] for row in self.rows]
            write_tsv(self.run / METRICS, columns, rows)
        # Last: after the state of the last epoch a killed run has nothing left to do.
        trainer.save_checkpoint(self.run / STATE, weights_only=False)
        trainer.should_stop |= self._is_out_of_patience(trainer.current_epoch)

    def _is_out_of_patience(self, epoch: int) -> bool:
        return epoch - self.best_epoch >= self.patience

    def _note(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Add a row for the epoch; tell whether it is the best so far."""
        loss = metrics[f"{VALIDATION}/{TOTAL}"]
        if not math.isfinite(loss):
            raise AnomriError(
                f"{self.run.name}: the validation loss of epoch {epoch} is {loss}. "
                "Next: lower `training.learning_rate` in the recipe."
            )
        named = {name.replace("/", "_"): value for name, value in sorted(metrics.items())}
        self.rows.append({"epoch": epoch, **named})
        if loss >= self.best_loss:
            return False
        self.best_loss, self.best_epoch = loss, epoch
        return True


def finish(run: Path) -> None:
    """Put the best weights in their place, which ends the run, and drop what resuming needed."""
    (run / BEST).replace(run / WEIGHTS)
    forget(run)


def forget(run: Path) -> None:
    """Delete the state of an unfinished training."""
    for name in (STATE, BEST):
        (run / name).unlink(missing_ok=True)
    folder = (run / STATE).parent
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
