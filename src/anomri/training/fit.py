"""From a recipe and prepared scans to a run folder."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from lightning.pytorch import Trainer

from anomri.errors import UsageError
from anomri.files import ENVIRONMENT, RECIPE, RESUME_STATE, WEIGHTS, write_text
from anomri.models import Network, Segmenter, build_network
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe
from anomri.training.loading import PartReader, RegionReader, make_loaders
from anomri.training.module import NetworkTraining
from anomri.training.run_record import finish, forget
from anomri.training.samples import HEALTHY, Split, labelled_volume, split_parts
from anomri.training.trainer import Machine, fit, limits_of, make_trainer, quiet

log = logging.getLogger(__name__)


def train(  # noqa: PLR0913 - the machine's options, each with a default
    recipe: Recipe,
    prepared: PreparedFolder,
    run: Path,
    *,
    device: str = "auto",
    processes: int = 1,
    workers: int = 0,
    precision: str = "auto",
    resume: bool = True,
    subjects: Sequence[str] | None = None,
    max_steps: int | None = None,
    progress: bool = True,
) -> Path:
    """Train the recipe's family on the healthy slices or volumes of prepared scans.

    The weights of the epoch with the lowest validation loss are kept. A finished run is left
    alone; an unfinished one goes on after its last whole epoch, exactly as it would have.

    Args:
        recipe: what to train, and how.
        prepared: where the scans are.
        run: the run folder; see :mod:`anomri.training.run_record` for what is in it.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        processes: that train together, each with a device of its own (on the CPU, sharing it) and
            batches of ``batch_size``. They import the calling script anew, which must therefore
            start its work under ``if __name__ == "__main__"``.
        workers: processes that read slices; 0 reads them in this one.
        precision: ``float32``, ``bfloat16``, or ``auto``; see :class:`.trainer.Machine`.
        resume: go on with an unfinished run; False starts it anew.
        subjects: names or labels to train and validate on; all where None.
        max_steps: stop after so many steps, for a trial.
        progress: show a bar with the time that is left.

    Returns:
        The run folder.

    Raises:
        UsageError: there is nothing to train or to train on, the run folder holds another recipe,
            or the device is not there.
        AnomriError: the loss stopped being a number.
    """
    if _is_finished(recipe, run):
        log.info("%s: already trained", run.name)
        write_text(run / RECIPE, recipe.to_yaml())  # detection may have changed
        forget(run)  # a kill may have come just before this
        return run
    with torch.random.fork_rng(devices=[]), quiet():
        family = _untrained(recipe)
        supervised = isinstance(family, Segmenter)
        _check_prepared(recipe, prepared)
        split = split_parts(
            prepared,
            recipe.training,
            choose=labelled_volume if supervised else HEALTHY[recipe.axes],
            subjects=subjects,
        )
        loaders = make_loaders(
            split,
            prepared,
            recipe,
            workers=workers,
            reader=RegionReader if supervised else PartReader,
        )
        machine = Machine(device, processes, len(family.phases()), precision)
        limits = limits_of(max_steps, batches=len(loaders[0]) // processes, phases=machine.phases)
        trainer = make_trainer(recipe.training, run, machine, progress=progress, **limits)
        _describe(run, recipe, split, machine, trainer)
        if not resume:
            forget(run)
        fit(trainer, NetworkTraining(family, recipe.training), loaders, run / RESUME_STATE)
    finish(run)
    return run


def _is_finished(recipe: Recipe, run: Path) -> bool:
    """Tell whether the run has ended.

    Raises:
        UsageError: the folder holds a run of a recipe that learns something else.
    """
    held = run / RECIPE
    if held.is_file() and not Recipe.load(held).learns_like(recipe):
        raise UsageError(
            f"{run.name}: holds a run that learnt from another recipe, '{Recipe.load(held).name}'. "
            "Next: train into another folder, or delete this one."
        )
    return (run / WEIGHTS).is_file()


def _untrained(recipe: Recipe) -> Network:
    """Build the family or the segmenter, its first weights drawn from the recipe's seed.

    Raises:
        UsageError: it has no parameters.
    """
    torch.manual_seed(recipe.training.seed)
    family = build_network(recipe.family, channels=len(recipe.contrasts), size=recipe.size)
    if not family.has_parameters:
        raise UsageError(
            f"{recipe.name}: family '{recipe.family.name}' has nothing to train. "
            "Next: use it as it is with `anomri detect`."
        )
    return family


def _check_prepared(recipe: Recipe, prepared: PreparedFolder) -> None:
    missing = [name for name in recipe.contrasts if name not in prepared.contrasts]
    if missing or not recipe.preparation.sees_like(prepared.preparation):
        other = f"has no '{missing[0]}'" if missing else "was prepared in another way"
        raise UsageError(
            f"{prepared.folder.name}: expected scans prepared as the recipe '{recipe.name}' says; "
            f"this folder {other}. Next: run `anomri prepare` with this recipe."
        )


def _describe(run: Path, recipe: Recipe, split: Split, machine: Machine, trainer: Trainer) -> None:
    """Write down what is about to be trained, on what and where."""
    environment = {
        "anomri": version("anomri"),
        "torch": torch.__version__,
        "lightning": version("lightning"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": trainer.strategy.root_device.type,
        "precision": str(trainer.precision),
        "processes": machine.processes,
        "seed": recipe.training.seed,
        "subjects": split.subjects,
        "slices" if recipe.axes == 2 else "volumes": {
            "train": len(split.train),
            "validation": len(split.validation),
        },
    }
    write_text(run / RECIPE, recipe.to_yaml())
    write_text(run / ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
