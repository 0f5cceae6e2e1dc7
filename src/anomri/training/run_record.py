"""Files of a run folder: metrics, best weights, and the state to resume from.

::

    run/
      recipe.yaml           as resolved
      environment.json      versions, device, seed, subjects
      metrics.tsv           one row per epoch
      logs/                 TensorBoard
      resume/               during training: state and best weights so far
      weights.safetensors   after training: the weights of the epoch with the best validation loss
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from anomri.errors import AnomriError
from anomri.files import METRICS, RESUME_BEST, RESUME_STATE, WEIGHTS, write_tsv
from anomri.models import TOTAL, save_weights
from anomri.training.module import VALIDATION, NetworkTraining


class RunRecord(Checkpoint):
    """Callback that writes the run folder after each validated epoch, with early stopping.

    As a ``Checkpoint`` of Lightning it is called after all other callbacks, so that the state that
    it saves is complete.

    Args:
        run: the run folder.
        patience: epochs without a lower validation loss after which training stops.
    """

    def __init__(self, run: Path, *, patience: int) -> None:
        self.run = run
        self.patience = patience
        self.rows: list[dict[str, float]] = []
        self.best_epoch = -1
        self.best_loss = math.inf
        self.validated = False

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {"rows": self.rows, "best_epoch": self.best_epoch, "best_loss": self.best_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the interrupted run."""
        self.rows = state_dict["rows"]
        self.best_epoch = state_dict["best_epoch"]
        self.best_loss = state_dict["best_loss"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once if the resumed run had already run out of patience."""
        del pl_module
        if self.rows and self._is_out_of_patience(int(self.rows[-1]["epoch"])):
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record that this epoch has been validated."""
        del trainer, pl_module
        self.validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the metrics, the state and, if they improved, the best weights.

        Raises:
            AnomriError: the validation loss is NaN or infinite.
        """
        if not self.validated:  # cut short by `max_steps`
            return
        self.validated = False
        # All processes have the same metrics and come to the same decision; rank 0 writes.
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        improved = self._record(trainer.current_epoch, metrics)
        if improved and trainer.is_global_zero and isinstance(pl_module, NetworkTraining):
            save_weights(pl_module.family, self.run / RESUME_BEST)
        if trainer.is_global_zero:
            columns = list(self.rows[0])
            rows = [[row[name] for name in columns] for row in self.rows]
            write_tsv(self.run / METRICS, columns, rows)
        # Last: a run that is killed after the state of its last epoch has nothing left to write.
        trainer.save_checkpoint(self.run / RESUME_STATE, weights_only=False)
        trainer.should_stop |= self._is_out_of_patience(trainer.current_epoch)

    def _is_out_of_patience(self, epoch: int) -> bool:
        return epoch - self.best_epoch >= self.patience

    def _record(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Add a row for the epoch; return whether it is the best so far."""
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
    """Move the best weights to their final path, which ends the run, and remove the state."""
    (run / RESUME_BEST).replace(run / WEIGHTS)
    remove_state(run)


def remove_state(run: Path) -> None:
    """Remove the state of an unfinished training."""
    for name in (RESUME_STATE, RESUME_BEST):
        (run / name).unlink(missing_ok=True)
    folder = (run / RESUME_STATE).parent
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
