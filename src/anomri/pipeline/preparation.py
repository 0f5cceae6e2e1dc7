"""Preparation: scans are preprocessed once, for training and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from anomri.batch import DEFAULT_EXECUTION, Execution, Outcome, ShardNote, joint, run_batch
from anomri.datasets import Found, converted
from anomri.errors import Failure, UsageError
from anomri.files import remove_stale_drafts
from anomri.models import choose_device
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe
from anomri.reporting import refusals_shown, write_failures
from anomri.scan import ScanFiles

NAMED = 5  # scans in a message


@dataclass(frozen=True, slots=True)
class PrepareTask:
    """Preparation of one scan; can be pickled for a worker.

    Attributes:
        prepared: folder of the prepared scans.
        out: folder of the figures of refused scans.
        device: where the brain extraction runs.
    """

    prepared: PreparedFolder
    out: Path
    device: torch.device

    def __call__(self, files: ScanFiles) -> bool:
        """Prepare a scan; return False if it was prepared before."""
        with converted(files) as images, refusals_shown(self.out, files.label):
            return self.prepared.add(images, device=self.device)


def prepare(
    found: Found,
    out: Path,
    *,
    recipe: Recipe,
    execution: Execution = DEFAULT_EXECUTION,
    device: str = "auto",
) -> Outcome:
    """Read, reorient, crop, resample and normalise every scan into ``out``, once.

    Args:
        found: the scans.
        out: folder of prepared scans; those that are there and unchanged are kept.
        recipe: states the preparation and the contrasts.
        execution: how to run the batch.
        device: of the brain extraction, see :func:`anomri.models.choose_device`.

    Raises:
        UsageError: the folder holds scans that were prepared differently, or there is no such
            device.
    """
    task_device = choose_device(device)
    remove_stale_drafts(out)
    prepared = PreparedFolder(out, recipe.preparation, recipe.contrasts, recipe.optional)
    outcome = run_batch(found, PrepareTask(prepared, out, task_device), execution, "preparing")
    rows = [*outcome.failures, *outcome.left_out]
    note = {"failures": [asdict(failure) for failure in rows]}
    with joint(out, "prepare", execution.shard, note) as notes:
        preparation_tables(out, notes)
    return outcome


def preparation_tables(out: Path, notes: Sequence[ShardNote]) -> None:
    """Write the failures of all parts."""
    write_failures(out, [Failure(**entry) for note in notes for entry in note["failures"]])


def refuse_unclear(prepared: PreparedFolder) -> None:
    """Raise where it is unknown whether scans are healthy: patients would be learnt as healthy."""
    if unclear := prepared.unclear():
        names = list(unclear)
        listed = ", ".join(names[:NAMED]) + (" and more" if len(names) > NAMED else "")
        raise UsageError(
            f"{prepared.folder.resolve().name}: expected a participants.tsv that says which "
            f"subjects are healthy; it does not for {len(names)}: {listed} ({unclear[names[0]]}). "
            "Next: complete the table and run `anomri prepare` again, or prepare the others only."
        )
