"""Training of a row, and its learning curves."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from anomri import batch, pipeline
from anomri.datasets import Found
from anomri.errors import Failure, UsageError
from anomri.experiments.reproduction.protocol import Setting
from anomri.experiments.reproduction.rows import Row, pair_recipe
from anomri.files import (
    ENVIRONMENT,
    METRICS,
    RECIPE,
    WEIGHTS,
    read_json,
    read_tsv,
    replacing_folder,
    write_text,
    write_tsv,
)
from anomri.models import build_recipe_network
from anomri.postprocessing import TO_BE_FITTED
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe

LOSS = "val_loss"
FITTING: frozenset[Setting] = frozenset({"healthy", "labelled", "slices"})


@dataclass(frozen=True, slots=True)
class Work:
    """Location of intermediate results, and execution options.

    Attributes:
        folder: folder of prepared scans, runs and detections, which later calls reuse.
        device: as ``--device``.
        max_steps: training steps per network; None for the recipe's training.
        progress: progress display.
        failures: scans that could not be used so far, once each; batches add to it.
    """

    folder: Path
    device: str = "auto"
    max_steps: int | None = None
    progress: batch.Progress = batch.no_progress
    failures: list[Failure] = field(default_factory=list, compare=False)

    @property
    def execution(self) -> batch.Execution:
        """How batches of scans are run: in this process, with progress."""
        return batch.Execution(progress=self.progress)

    def note_failures(self, outcome: batch.Outcome) -> None:
        """Add the scans that a batch could not use."""
        for failure in (*outcome.failures, *outcome.left_out):
            if failure not in self.failures:
                self.failures.append(failure)

    def prepared(self, recipe: Recipe) -> Path:
        """Return the folder of the scans prepared by this recipe."""
        return self.folder / f"prepared-{'-'.join(recipe.contrasts)}-{recipe.preparation.key()}"

    def run(self, row: Row) -> Path:
        """Return the run folder of a row, or the folder of an ensemble's members."""
        return self.folder / "runs" / row.run


def train_row(row: Row, scans: Found, settings: Sequence[Setting], work: Work) -> str:
    """Prepare scans, train the networks of a row and fit thresholds, as far as necessary.

    Returns:
        Model name or folder for :func:`anomri.detector.load`.

    Raises:
        UsageError: the folder of the work holds other scans than these, or networks trained on
            others, for example of an earlier split: these may be test scans now.
    """
    run, names = work.run(row), {files.subject for files in scans.scans}
    if row.parts:
        for part in row.parts:
            train_row(part, scans, settings, work)
            _copy(work.run(part), run / part.run)
        write_text(run / RECIPE, pair_recipe(row).to_yaml())
        return str(run)
    recipe, prepared = row.recipe, work.prepared(row.recipe)
    needs_training = build_recipe_network(recipe).has_parameters
    needs_fit = recipe.detection.threshold.name in TO_BE_FITTED or bool(FITTING & set(settings))
    if needs_training or needs_fit:
        work.note_failures(
            pipeline.prepare(
                scans, prepared, recipe=recipe, execution=work.execution, device=work.device
            )
        )
        subjects = {subject for _, subject, _ in PreparedFolder.open(prepared).index()}
        _check_subjects((subjects | learnt_from(run)) - names, work.folder)
    if needs_training:
        _train(row, prepared, run, work)
    else:
        write_text(run / RECIPE, recipe.to_yaml())
    if needs_fit and not row.supervised:
        pipeline.calibrate(run, prepared, run, device=work.device, progress=work.progress)
    return str(run)


class _TrainingSubjects(BaseModel):
    """The subjects in ``environment.json``, by split."""

    subjects: dict[str, list[str]] = {}


def learnt_from(run: Path) -> frozenset[str]:
    """Return the subjects that networks were trained and validated on; empty if not recorded.

    Args:
        run: folder of a network, or of the members of an ensemble.
    """
    paths = [path for folder in ("", "*/") for path in run.glob(folder + ENVIRONMENT)]
    what = "the subjects of a training"
    splits = [read_json(path, _TrainingSubjects, what=what).subjects for path in paths]
    return frozenset(name for split in splits for names in split.values() for name in names)


def _check_subjects(unexpected: Collection[str], folder: Path) -> None:
    if unexpected:
        raise UsageError(
            f"{folder.resolve().name}: expected results of the training scans alone, found "
            f"'{min(unexpected)}', which is not one of them. "
            "Next: choose another folder with -o."
        )


def _train(row: Row, prepared: Path, run: Path, work: Work) -> None:
    machine = {"device": work.device, "max_steps": work.max_steps, "progress": False}
    if not row.members:
        pipeline.train(row.recipe, prepared, run, **machine)
    for seed in row.members:
        training = row.recipe.training.model_copy(update={"seed": seed})
        member = row.recipe.model_copy(update={"training": training})
        pipeline.train(member, prepared, _member(run, seed, member), **machine)


def _member(run: Path, seed: int, member: Recipe) -> Path:
    """Return the folder of a member of an ensemble, copied from a row with the same network."""
    folder = run / f"seed{seed}"
    for weights in [] if folder.exists() else sorted(run.parent.glob(f"*/{WEIGHTS}")):
        recipe = Recipe.load(weights.parent / RECIPE)
        if recipe.learns_like(member):
            _copy(weights.parent, folder)
            break
    return folder


def _copy(source: Path, target: Path) -> None:
    with replacing_folder(target) as draft:
        shutil.copytree(source, draft, dirs_exist_ok=True)


def keep_curves(row: Row, work: Work, folder: Path) -> dict[str, Any]:
    """Copy the learning curves of a row's networks into a folder.

    Returns:
        ``epochs``, ``best_epoch`` and ``ended`` of :func:`ending`; for several networks the first
        two are joined by commas, and ``ended`` is ``patience`` only if it is for all. Empty without
        curves.
    """
    ends: list[dict[str, Any]] = []
    for name, run, patience in _networks(row, work):
        lines = read_tsv(run / METRICS)
        if lines:
            cells = [list(line.values()) for line in lines]
            write_tsv(folder / f"{name}.tsv", list(lines[0]), cells)
            ends.append(ending(lines, patience=patience))
    return _joined(ends)


def _networks(row: Row, work: Work) -> Iterator[tuple[str, Path, int]]:
    """Yield name of the curve, run folder and patience of each network of a row."""
    run, name, patience = work.run(row), row.recipe.name, row.recipe.training.patience
    for part in row.parts:
        yield from _networks(part, work)
    for seed in row.members:
        yield f"{name}_seed{seed}", run / f"seed{seed}", patience
    if not (row.parts or row.members):
        yield name, run, patience


def _joined(ends: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(ends) < 2:
        return ends[0] if ends else {}
    joined = {key: ", ".join(str(end[key]) for end in ends) for key in ("epochs", "best_epoch")}
    limited = any(end["ended"] == "limit" for end in ends)
    return {**joined, "ended": "limit" if limited else "patience"}


ENDED = {
    "patience": "no improvement within the recipe's patience",
    "limit": "maximum number of epochs",
}
"""How a training ended, in the words of a page."""


def ending(lines: Sequence[dict[str, str]], *, patience: int) -> dict[str, Any]:
    """Return how a training ended, from its learning curve.

    Returns:
        ``epochs``, ``best_epoch`` and ``ended``: ``patience`` if the validation loss had stopped
        improving, ``limit`` if the limit of epochs was reached before.

    >>> curve = [{"epoch": str(n), "val_loss": loss} for n, loss in enumerate(["3", "1", "2", "2"])]
    >>> ending(curve, patience=2)
    {'epochs': 4, 'best_epoch': 1, 'ended': 'patience'}
    """
    losses = [float(line[LOSS]) for line in lines]
    best = losses.index(min(losses))
    waited = len(losses) - 1 - best
    ended = "patience" if waited >= patience else "limit"
    return {"epochs": len(losses), "best_epoch": best, "ended": ended}
