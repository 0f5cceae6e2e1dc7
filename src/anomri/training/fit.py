"""Training of a recipe's network into a run folder."""

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
from anomri.training.loading import ImageDataset, RegionDataset, make_loaders
from anomri.training.module import NetworkTraining
from anomri.training.run_record import finish, remove_state
from anomri.training.samples import HEALTHY, Split, labelled_volume, split_images
from anomri.training.trainer import Machine, fit, make_trainer, quiet, step_limits

log = logging.getLogger(__name__)


def train(  # noqa: PLR0913 - the machine's options, each with a default
    recipe: Recipe,
    prepared: PreparedFolder,
    run: Path,
    *,
    device: str = "auto",
    processes: int = 1,
    nodes: int = 1,
    workers: int = 0,
    precision: str = "auto",
    compiled: bool = False,
    resume: bool = True,
    subjects: Sequence[str] | None = None,
    max_steps: int | None = None,
    progress: bool = True,
) -> Path:
    """Train the recipe's network on the slices or volumes of prepared scans.

    The weights of the epoch with the lowest validation loss are kept. A finished run is not
    changed; an unfinished one is resumed after its last complete epoch, with the same result as
    without interruption.

    Args:
        recipe: network and training options.
        prepared: the prepared scans.
        run: the run folder; see :mod:`anomri.training.run_record` for its content.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        processes: number of distributed processes, each with a device of its own (on the CPU they
            share it) and batches of ``batch_size``. They import the calling script anew, which
            must therefore start its work under ``if __name__ == "__main__"``.
        nodes: number of machines that train together, each with so many processes; this function
            is called on each, with the same run folder. See :func:`.trainer.check_nodes`.
        workers: processes that read images; 0 reads them in the main process.
        precision: ``float32``, ``bfloat16``, or ``auto``; see :class:`.trainer.Machine`.
        compiled: compile the network by ``torch.compile`` when training begins; needs a C++
            compiler.
        resume: resume an unfinished run; False starts it anew.
        subjects: names or labels to train and validate on; None for all.
        max_steps: stop after this many steps, for a trial.
        progress: show a progress bar with the remaining time.

    Returns:
        The run folder.

    Raises:
        UsageError: the network has no parameters, there are no usable images, the run folder
            holds another recipe, the device is missing, the machines do not find each other, or
            the network cannot be compiled.
        AnomriError: the validation loss is NaN or infinite.
    """
    if _is_finished(recipe, run):
        log.info("%s: already trained", run.name)
        write_text(run / RECIPE, recipe.to_yaml())  # detection may have changed
        remove_state(run)  # left if the run was killed just before removing it
        return run
    with torch.random.fork_rng(devices=[]), quiet():
        network = _initialised(recipe)
        supervised = isinstance(network, Segmenter)
        _check_prepared(recipe, prepared)
        split = split_images(
            prepared,
            recipe.training,
            select=labelled_volume if supervised else HEALTHY[recipe.axes],
            subjects=subjects,
        )
        loaders = make_loaders(
            split,
            prepared,
            recipe,
            workers=workers,
            dataset=RegionDataset if supervised else ImageDataset,
        )
        machine = Machine(device, processes, nodes, len(network.phases()), precision)
        batches = len(loaders[0]) // machine.all_processes
        limits = step_limits(max_steps, batches=batches, phases=machine.phases)
        trainer = make_trainer(recipe.training, run, machine, progress=progress, **limits)
        _write_description(run, recipe, split, machine, trainer)
        if not resume:
            remove_state(run)
        module = NetworkTraining(network, recipe.training, compiled=compiled)
        fit(trainer, module, loaders, run / RESUME_STATE)
    if machine.is_first_node:
        finish(run)
    return run


def _is_finished(recipe: Recipe, run: Path) -> bool:
    """Tell whether the run has finished.

    Raises:
        UsageError: the folder holds a run of a recipe with another training.
    """
    path = run / RECIPE
    if path.is_file() and not Recipe.load(path).learns_like(recipe):
        raise UsageError(
            f"{run.resolve().name}: holds a run that was trained by another recipe, "
            f"'{Recipe.load(path).name}'. "
            "Next: train into another folder, or delete this one."
        )
    return (run / WEIGHTS).is_file()


def _initialised(recipe: Recipe) -> Network:
    """Build the network, with initial weights from the recipe's seed.

    Raises:
        UsageError: it has no parameters.
    """
    torch.manual_seed(recipe.training.seed)
    network = build_network(recipe.family, channels=len(recipe.contrasts), size=recipe.size)
    if not network.has_parameters:
        raise UsageError(
            f"{recipe.name}: family '{recipe.family.name}' has nothing to train. "
            "Next: use it as it is with `anomri detect`."
        )
    return network


def _check_prepared(recipe: Recipe, prepared: PreparedFolder) -> None:
    missing = [name for name in recipe.contrasts if name not in prepared.contrasts]
    if missing or not recipe.preparation.sees_like(prepared.preparation):
        difference = f"has no '{missing[0]}'" if missing else "was prepared in another way"
        raise UsageError(
            f"{prepared.folder.resolve().name}: expected scans prepared by the recipe "
            f"'{recipe.name}'; "
            f"this folder {difference}. Next: run `anomri prepare` with this recipe."
        )


def _write_description(
    run: Path, recipe: Recipe, split: Split, machine: Machine, trainer: Trainer
) -> None:
    """Write the recipe and the environment of the training."""
    environment = {
        "anomri": version("anomri"),
        "torch": torch.__version__,
        "lightning": version("lightning"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": trainer.strategy.root_device.type,
        "precision": str(trainer.precision),
        "processes": machine.all_processes,
        "seed": recipe.training.seed,
        "subjects": split.subjects,
        "slices" if recipe.axes == 2 else "volumes": {
            "train": len(split.train),
            "validation": len(split.validation),
        },
    }
    write_text(run / RECIPE, recipe.to_yaml())
    write_text(run / ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
