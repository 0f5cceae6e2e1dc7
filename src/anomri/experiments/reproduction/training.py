"""Training a row, and what is kept of how it went."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from anomri import batch, pipeline
from anomri.datasets import Found
from anomri.errors import UsageError
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
    """Where the work is kept and on what it is done.

    Attributes:
        folder: prepared scans, runs and detections; a second call goes on from there.
        device: as ``--device``.
        max_steps: training steps per network; None trains as the recipe says.
        progress: shows progress.
    """

    folder: Path
    device: str = "auto"
    max_steps: int | None = None
    progress: batch.Progress = batch.no_progress

    @property
    def execution(self) -> batch.Execution:
        """How batches of scans are run: in this process, with progress."""
        return batch.Execution(progress=self.progress)

    def prepared(self, recipe: Recipe) -> Path:
        """Folder of the scans that were prepared as this recipe wants them."""
        return self.folder / f"prepared-{'-'.join(recipe.contrasts)}-{recipe.preparation.key()}"

    def run(self, row: Row) -> Path:
        """Run folder of a row, or of the members of an ensemble."""
        return self.folder / "runs" / row.run


def train_row(row: Row, scans: Found, settings: Sequence[Setting], work: Work) -> str:
    """Prepare, train where there is anything to train, and fit thresholds where they are asked for.

    Returns:
        What :func:`anomri.detector.load` takes.

    Raises:
        UsageError: the folder of the work holds others than these scans, or what was learnt from
            others: an earlier split may have had them, and now they are to be judged.
    """
    run, names = work.run(row), {files.subject for files in scans.scans}
    if row.parts:
        for part in row.parts:
            train_row(part, scans, settings, work)
            _copy(work.run(part), run / part.run)
        write_text(run / RECIPE, pair_recipe(row).to_yaml())
        return str(run)
    recipe, prepared = row.recipe, work.prepared(row.recipe)
    learns = build_recipe_network(recipe).has_parameters
    fits = recipe.detection.threshold.name in TO_BE_FITTED or bool(FITTING & set(settings))
    if learns or fits:
        pipeline.prepare(scans, prepared, recipe=recipe, execution=work.execution)
        held = (subject for _, subject, _ in PreparedFolder.open(prepared).index())
        _refuse_strangers({*held, *learnt_from(run)} - names, work.folder)
    if learns:
        _train(row, prepared, run, work)
    else:
        write_text(run / RECIPE, recipe.to_yaml())
    if fits and not row.supervised:
        pipeline.calibrate(run, prepared, run, device=work.device, progress=work.progress)
    return str(run)


class _Learnt(BaseModel):
    """Of ``environment.json`` the subjects, by split."""

    subjects: dict[str, list[str]] = {}


def learnt_from(run: Path) -> frozenset[str]:
    """Return the subjects that networks were trained and validated on; none where nobody says.

    Args:
        run: folder of one network, or of the members of an ensemble.
    """
    paths = [path for where in ("", "*/") for path in run.glob(where + ENVIRONMENT)]
    said = [read_json(path, _Learnt, what="who a model learnt from").subjects for path in paths]
    return frozenset(name for one in said for names in one.values() for name in names)


def _refuse_strangers(strangers: Collection[str], folder: Path) -> None:
    if strangers:
        raise UsageError(
            f"{folder.name}: expected work on the scans to learn from alone, found "
            f"'{min(strangers)}' in it, which is not one of them. "
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
    """Return the folder of one network of an ensemble; a single row's equal network is copied."""
    folder = run / f"seed{seed}"
    for other in [] if folder.exists() else sorted(run.parent.glob(f"*/{WEIGHTS}")):
        recipe = Recipe.load(other.parent / RECIPE)
        if recipe.learns_like(member):
            _copy(other.parent, folder)
            break
    return folder


def _copy(source: Path, target: Path) -> None:
    with replacing_folder(target) as draft:
        shutil.copytree(source, draft, dirs_exist_ok=True)


def keep_curves(row: Row, work: Work, folder: Path) -> dict[str, Any]:
    """Copy the learning curve of each of a row's networks into a folder, and say how each ended.

    Returns:
        ``epochs``, ``best_epoch`` and ``ended``, as :func:`ending` says; of several networks the
        first two are joined by commas, and ``ended`` is ``patience`` only if that ended them all.
        Nothing without a curve.
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
    """Yield the name of the curve, the run folder and the patience of each network of a row."""
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


def ending(lines: Sequence[dict[str, str]], *, patience: int) -> dict[str, Any]:
    """Read from a curve how its training ended.

    Returns:
        ``epochs``, ``best_epoch`` and ``ended``: by ``patience`` when the validation loss had
        stopped improving, by ``limit`` when the epochs ran out before.

    >>> curve = [{"epoch": str(n), "val_loss": loss} for n, loss in enumerate(["3", "1", "2", "2"])]
    >>> ending(curve, patience=2)
    {'epochs': 4, 'best_epoch': 1, 'ended': 'patience'}
    """
    losses = [float(line[LOSS]) for line in lines]
    best = losses.index(min(losses))
    waited = len(losses) - 1 - best
    ended = "patience" if waited >= patience else "limit"
    return {"epochs": len(losses), "best_epoch": best, "ended": ended}
