"""The model's side of the path: scans are prepared, a network learns, thresholds are fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anomri.batch import (
    SERIAL,
    WHOLE,
    Executor,
    Outcome,
    Progress,
    Shard,
    ShardNote,
    joint,
    left_out,
    no_progress,
    run_batch,
)
from anomri.datasets import Found, converted
from anomri.detector import Detector, load
from anomri.errors import UsageError
from anomri.files import private_temporary_files, remove_stale_drafts, replacing_folder
from anomri.pipeline.model_copies import copy_model
from anomri.pipeline.threshold_calibration import Calibration
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe
from anomri.reporting import Failure, refusals_shown, write_failures
from anomri.scan import ScanFiles, Threshold

NAMED = 5  # scans in a message


@dataclass(frozen=True, slots=True)
class PrepareTask:
    """What is done with one scan; travels to a worker.

    Attributes:
        prepared: where it is kept.
        out: where the picture of a refused one is written.
    """

    prepared: PreparedFolder
    out: Path

    def __call__(self, files: ScanFiles) -> bool:
        """Prepare a scan; False where that was done before."""
        with converted(files) as images, refusals_shown(self.out, files.label):
            return self.prepared.add(images)


def prepare(
    found: Found,
    out: Path,
    *,
    recipe: Recipe,
    progress: Progress = no_progress,
    executor: Executor = SERIAL,
    shard: Shard = WHOLE,
) -> Outcome:
    """Read, orient, crop, resample and scale every scan into ``out``, once."""
    remove_stale_drafts(out)
    prepared = PreparedFolder(out, recipe.preparation, recipe.contrasts, recipe.optional)
    outcome = run_batch(
        shard.of(found.scans), PrepareTask(prepared, out), progress, "preparing", executor
    )
    outcome.left_out = left_out(shard.found(found).left_out)
    rows = [*outcome.failures, *outcome.left_out]
    note = {"failures": [asdict(failure) for failure in rows]}
    with joint(out, "prepare", shard, note) as notes:
        preparation_tables(out, notes)
    return outcome


def preparation_tables(out: Path, notes: Sequence[ShardNote]) -> None:
    """Write what failed, of all parts."""
    write_failures(out, [Failure(**entry) for note in notes for entry in note["failures"]])


def train(recipe: Recipe, data: Path, run: Path, **machine: Any) -> Path:
    """Train the recipe's model on prepared scans; see :func:`anomri.training.train`."""
    # Here and below: Lightning takes seconds to import, and every other command does without.
    with private_temporary_files():
        from anomri.training import train as fit

        remove_stale_drafts(run)
        prepared = PreparedFolder.open(data)
        _refuse_unclear(prepared)
        return fit(recipe, prepared, run, **machine)


def calibrate(
    model: str | Path,
    data: Path,
    run: Path,
    *,
    false_positive_ml: float = 5.0,
    device: str = "auto",
    progress: Progress = no_progress,
) -> dict[str, Threshold]:
    """Fit the model's thresholds on prepared scans and keep them in the run folder.

    ``healthy`` needs tissue without lesions (healthy scans, or what lies outside the truth of the
    others); ``labelled`` needs truth and is fitted only where there is some. The slices that
    training would learn from set the thresholds of the slice scores. Then every scan is looked at
    once more with thresholds that it had no part in, which says what the decision marks on healthy
    tissue; memory stays that of one scan. Models that work together are calibrated as one.
    """
    with private_temporary_files():
        from anomri.training import healthy_slices

    remove_stale_drafts(run)
    remove_stale_drafts(run.parent, recursive=False)
    detector = load(model, device=device)
    prepared = PreparedFolder.open(data)
    _check_prepared(detector, prepared)
    _refuse_unclear(prepared)
    calibration = Calibration(detector, false_positive_ml=false_positive_ml)
    # Lesion-free slices, also where a network was taught with lesions masked.
    lesion_free = detector.recipe.training.model_copy(update={"lesions": "drop"})
    for label in progress(prepared.labels(), "calibrating"):
        scan = prepared.load(label)
        slices = [shard.index for shard in healthy_slices(scan, lesion_free)]
        calibration.add(scan, np.array(slices, dtype=np.intp))
    for label in progress(prepared.labels(), "measuring"):
        calibration.measure(prepared.load(label))
    with new_or_held(run) as place:
        copy_model(model, place)
        return calibration.save(place)


@contextmanager
def new_or_held(run: Path) -> Iterator[Path]:
    """Yield a run folder that is there, or a draft of it that appears when it is complete."""
    if run.is_dir():
        yield run
        return
    with replacing_folder(run) as draft:
        yield draft


def _refuse_unclear(prepared: PreparedFolder) -> None:
    """Refuse scans that may be patients': what is learnt from them would pass for healthy."""
    if unclear := prepared.unclear():
        names = list(unclear)
        listed = ", ".join(names[:NAMED]) + (" and more" if len(names) > NAMED else "")
        raise UsageError(
            f"{prepared.folder.name}: expected scans of which the data set's participants.tsv says "
            f"who is healthy; it does not of {len(names)}: {listed} ({unclear[names[0]]}). "
            "Next: complete the table and run `anomri prepare` again, or prepare the others alone."
        )


def _check_prepared(detector: Detector, prepared: PreparedFolder) -> None:
    """Refuse scans that the model would see in another way when it looks at them itself."""
    missing = [one for one in detector.contrasts if one not in prepared.contrasts]
    missing = [one for one in missing if one not in detector.optional]
    if missing or not detector.recipe.preparation.sees_like(prepared.preparation):
        other = f"has no '{missing[0]}'" if missing else "was prepared in another way"
        raise UsageError(
            f"{prepared.folder.name}: expected scans prepared as the recipe "
            f"'{detector.recipe.name}' says; this folder {other}. "
            "Next: run `anomri prepare` with this recipe."
        )
