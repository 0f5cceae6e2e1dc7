"""Rows of a comparison and their models.

Networks trained by earlier commands are reused; missing ones are trained by their paper's protocol.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anomri.detector import Detector, MapModel, load
from anomri.errors import UsageError
from anomri.experiments.comparison.definition import Definition, Group
from anomri.experiments.reproduction import (
    PAIR,
    Data,
    Protocol,
    Row,
    Work,
    ending,
    learnt_from,
    pair_steps,
    rows_of,
    train_row,
)
from anomri.files import METRICS, RECIPE, THRESHOLDS, WEIGHTS, read_tsv
from anomri.models import Reconstructor
from anomri.postprocessing import TO_BE_FITTED
from anomri.recipe import Recipe
from anomri.scan import bids_label

PATIENCE = "patience"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the comparison.

    Attributes:
        name: name of the row.
        group: group of the row.
        row: row of the paper; None for a built-in model.
    """

    name: str
    group: Group
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder with weights.

    Attributes:
        folder: the folder.
        recipe: recipe of the training.
        ended: end of the training, see :func:`anomri.experiments.reproduction.ending`.
    """

    folder: Path
    recipe: Recipe
    ended: Mapping[str, Any]

    def is_of(self, recipe: Recipe) -> bool:
        """Tell whether this is the network that ``recipe`` trains.

        A training that was stopped early does not depend on its limit of epochs, if the limit of
        ``recipe`` is not lower than the epochs trained and the learning rate does not depend on it.
        """
        trained = self.recipe
        stopped_early = self.ended.get("ended") == PATIENCE and not recipe.training.decay_exponent
        if stopped_early and self.ended["epochs"] <= recipe.training.max_epochs:
            limit = {"max_epochs": recipe.training.max_epochs}
            training = trained.training.model_copy(update=limit)
            trained = trained.model_copy(update={"training": training})
        needs_fit = recipe.detection.threshold.name in TO_BE_FITTED
        is_fitted = not needs_fit or (self.folder / THRESHOLDS).is_file()
        return trained.learns_like(recipe) and is_fitted


def chosen_rows(
    definition: Definition, papers: Path, chosen: frozenset[str] = frozenset()
) -> list[Entry]:
    """List the chosen rows in the order of the definition.

    Args:
        definition: the comparison.
        papers: parent folder of the papers' folders.
        chosen: names of the rows; all if empty.

    Raises:
        UsageError: unknown row.
    """
    unknown = sorted(chosen - set(definition.rows))
    if unknown:
        raise UsageError(
            f"comparison: no row {unknown}; it has {', '.join(definition.rows)}. "
            "Next: check the spelling."
        )
    entries = [entry for group in definition.groups for entry in _of_group(group, papers)]
    return [entry for entry in entries if not chosen or entry.name in chosen]


def _of_group(group: Group, papers: Path) -> list[Entry]:
    if not group.paper:
        return [Entry(name, group) for name in group.rows]
    folder = papers / group.paper
    rows = rows_of(folder, Protocol.load(folder), group.size, frozenset(group.rows))
    by_name = {row.recipe.name: row for row in rows}
    return [Entry(name, group, by_name[name]) for name in group.rows]


def runs_below(*folders: Path) -> tuple[Run, ...]:
    """List all finished run folders below some folders."""
    paths = {path.parent: None for folder in folders for path in sorted(folder.rglob(WEIGHTS))}
    return tuple(_run(path) for path in paths if (path / RECIPE).is_file())


def _run(folder: Path) -> Run:
    recipe, lines = Recipe.load(folder / RECIPE), read_tsv(folder / METRICS)
    ended = ending(lines, patience=recipe.training.patience) if lines else {}
    return Run(folder, recipe, ended)


@dataclass(frozen=True, slots=True)
class Trainer:
    """Provides the networks of rows: trained earlier, or trained now.

    Attributes:
        papers: parent folder of the papers' folders.
        data: location of the scans.
        work: location of trainings, below the paper's name and size.
        runs: earlier trainings.
        trains: whether to train missing networks.
    """

    papers: Path
    data: Data
    work: Work
    runs: tuple[Run, ...] = ()
    trains: bool = True

    def detector(self, entry: Entry) -> tuple[Detector, Mapping[str, Any]] | None:
        """Return a row's model and the end of its training; None if it is not trained."""
        if entry.row is None:
            return load(entry.name, device=self.work.device), {}
        parts = [self._network(row, entry.group) for row in entry.row.parts or (entry.row,)]
        models = [model for model in parts if model is not None]
        if len(models) < len(parts):
            return None
        (first, ended), *_ = models
        if not entry.row.parts:
            return first, ended
        maps = {name: model.first for name, (model, _) in zip(PAIR, models, strict=True)}
        return Detector(maps, pair_steps(), name=entry.row.recipe.name), ended

    def _network(self, row: Row, group: Group) -> tuple[Detector, Mapping[str, Any]] | None:
        run = self._run(row, group)
        if run is None:
            return None
        return with_recipe(load(run.folder, device=self.work.device), row.recipe), run.ended

    def _run(self, row: Row, group: Group) -> Run | None:
        protocol = Protocol.load(self.papers / group.paper)
        # A network of another split may have been trained on test scans of this one.
        allowed = _normalised(self.data.subjects_of(protocol.train))
        candidates = (run for run in self.runs if run.is_of(row.recipe))
        runs = [run for run in candidates if _normalised(learnt_from(run.folder)) <= allowed]
        if runs or not self.trains:
            # A member of an ensemble may be the same network as a row.
            return min(runs, key=lambda run: run.folder.name != row.run, default=None)
        settings = protocol.settings_of(group.size)
        work = replace(self.work, folder=self.work.folder / group.paper / group.size)
        return _run(Path(train_row(row, self.data.scans_of(protocol.train), settings, work)))


def _normalised(names: Iterable[str]) -> set[str]:
    """Return names as BIDS labels without ``sub-``, as split files may spell them differently."""
    return {bids_label(name.removeprefix("sub-")) for name in names}


def with_recipe(detector: Detector, recipe: Recipe) -> Detector:
    """Return the networks of a detector's first map under another recipe, alone."""
    return Detector({recipe.name: detector.first.with_recipe(recipe)})


def under_common_decision(detector: Detector, baseline: Recipe) -> Detector | None:
    """Return a network with the baseline's postprocessing of its residual.

    This separates the effect of the networks from that of their papers' decisions.

    Returns:
        None for models without a network's residual: segmenters and untrained models.
    """
    network = detector.first.networks[0]
    trained = network.has_parameters and isinstance(network, Reconstructor)
    if not trained or detector.steps:
        return None
    changed = detector.recipe.model_copy(update={"detection": baseline.detection})
    return with_recipe(detector, changed)


def fingerprint(detector: Detector) -> str:
    """Return 16 hex digits that identify a model's processing of a scan.

    Options at their default are ignored, so that tables stay valid when an option is added. The
    training is represented by the weights.
    """
    facts = [_facts(model) for model in detector.map_models.values()]
    facts += [step.model_dump_json() for step in detector.steps]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _facts(model: MapModel) -> str:
    parts = {"contrasts", "optional", "axes", "preparation", "family", "detection"}
    section = model.recipe.model_dump(mode="json", include=parts, exclude_defaults=True)
    facts = [json.dumps(section, sort_keys=True), model.weights_hash, repr(dict(model.thresholds))]
    facts += [] if model.fitted.latents is None else [model.fitted.latents.digest]
    return "\n".join(facts)


def needed_contrasts(detector: Detector) -> frozenset[str]:
    """Return the contrasts that a model requires."""
    return frozenset(detector.contrasts) - detector.optional
