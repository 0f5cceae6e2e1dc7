"""The rows of a comparison, and the models that stand for them.

A network that some earlier command trained is taken where it lies, so that nothing is trained
twice; one that nobody has trained is trained as its paper's protocol says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
        name: of the row.
        group: that it belongs to.
        row: as its paper trains it; None for a model that ships with anomri.
    """

    name: str
    group: Group
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder that holds weights.

    Attributes:
        folder: where it lies.
        recipe: that it was trained by.
        ended: how its training ended, see :func:`anomri.experiments.reproduction.ending`.
    """

    folder: Path
    recipe: Recipe
    ended: Mapping[str, Any]

    def is_of(self, wanted: Recipe) -> bool:
        """Tell whether this is the network that a recipe trains.

        A training that stopped because it no longer got better would have stopped there under any
        other limit of epochs that lets it come so far, if the learning rate does not follow the
        limit.
        """
        mine = self.recipe
        stopped = self.ended.get("ended") == PATIENCE and not wanted.training.decay_exponent
        if stopped and self.ended["epochs"] <= wanted.training.max_epochs:
            limit = {"max_epochs": wanted.training.max_epochs}
            training = mine.training.model_copy(update=limit)
            mine = mine.model_copy(update={"training": training})
        thresholds = wanted.detection.threshold.name not in TO_BE_FITTED
        return mine.learns_like(wanted) and (thresholds or (self.folder / THRESHOLDS).is_file())


def chosen_rows(
    definition: Definition, papers: Path, chosen: frozenset[str] = frozenset()
) -> list[Entry]:
    """List the chosen rows, all where none is named, in the order of the definition.

    Args:
        definition: of the comparison.
        papers: folder that holds those of the papers.
        chosen: names.

    Raises:
        UsageError: a row is named that is not there.
    """
    unknown = sorted(chosen - set(definition.rows))
    if unknown:
        raise UsageError(f"comparison: no row {unknown}; it has {', '.join(definition.rows)}")
    listed = [one for group in definition.groups for one in _of_group(group, papers)]
    return [one for one in listed if not chosen or one.name in chosen]


def _of_group(group: Group, papers: Path) -> list[Entry]:
    if not group.paper:
        return [Entry(name, group) for name in group.rows]
    folder = papers / group.paper
    rows = rows_of(folder, Protocol.load(folder), group.size, frozenset(group.rows))
    by_name = {row.recipe.name: row for row in rows}
    return [Entry(name, group, by_name[name]) for name in group.rows]


def runs_below(*folders: Path) -> tuple[Run, ...]:
    """List every finished run folder below some folders."""
    found = {path.parent: None for folder in folders for path in sorted(folder.rglob(WEIGHTS))}
    return tuple(_run(path) for path in found if (path / RECIPE).is_file())


def _run(folder: Path) -> Run:
    recipe, lines = Recipe.load(folder / RECIPE), read_tsv(folder / METRICS)
    ended = ending(lines, patience=recipe.training.patience) if lines else {}
    return Run(folder, recipe, ended)


@dataclass(frozen=True, slots=True)
class Trainer:
    """Finds the networks of rows, and trains those that are not there.

    Attributes:
        papers: folder that holds those of the papers.
        data: where the scans lie.
        work: where trainings are kept, below the paper's name and size.
        runs: trained before.
        trains: whether to train what is not there.
    """

    papers: Path
    data: Data
    work: Work
    runs: tuple[Run, ...] = ()
    trains: bool = True

    def detector(self, one: Entry) -> tuple[Detector, Mapping[str, Any]] | None:
        """Return a row's model and how its training ended; None where it is not trained."""
        if one.row is None:
            return load(one.name, device=self.work.device), {}
        parts = [self._network(row, one.group) for row in one.row.parts or (one.row,)]
        models = [model for model in parts if model is not None]
        if len(models) < len(parts):
            return None
        (first, ended), *_ = models
        if not one.row.parts:
            return first, ended
        maps = {name: model.first for name, (model, _) in zip(PAIR, models, strict=True)}
        return Detector(maps, pair_steps(), name=one.row.recipe.name), ended

    def _network(self, row: Row, group: Group) -> tuple[Detector, Mapping[str, Any]] | None:
        run = self._run(row, group)
        if run is None:
            return None
        return with_recipe(load(run.folder, device=self.work.device), row.recipe), run.ended

    def _run(self, row: Row, group: Group) -> Run | None:
        protocol = Protocol.load(self.papers / group.paper)
        # A network of another split may have learnt from scans that are judged here.
        may = _plain(self.data.named(protocol.train))
        runs = (run for run in self.runs if run.is_of(row.recipe))
        known = [run for run in runs if _plain(learnt_from(run.folder)) <= may]
        if known or not self.trains:
            # Members of an ensemble may be the same network as a row.
            return min(known, key=lambda run: run.folder.name != row.run, default=None)
        settings = protocol.sizes[group.size].settings or protocol.settings
        work = Work(
            self.work.folder / group.paper / group.size,
            self.work.device,
            self.work.max_steps,
            self.work.progress,
        )
        return _run(Path(train_row(row, self.data.found(protocol.train), settings, work)))


def _plain(names: Iterable[str]) -> set[str]:
    """Return names as a file of splits may spell them too: by BIDS label, without ``sub-``."""
    return {bids_label(name.removeprefix("sub-")) for name in names}


def with_recipe(detector: Detector, recipe: Recipe) -> Detector:
    """Return the networks of a detector's first map under another recipe, alone."""
    return Detector({recipe.name: detector.first.with_recipe(recipe)})


def under_common_decision(detector: Detector, baseline: Recipe) -> Detector | None:
    """Return a network whose residual goes the baseline's way to a mask.

    So networks are told apart from the decisions that their papers put behind them.

    Returns:
        None for what has no residual of a network: a segmenter, or nothing trained.
    """
    network = detector.first.networks[0]
    trained = network.has_parameters and isinstance(network, Reconstructor)
    if not trained or detector.steps:
        return None
    changed = detector.recipe.model_copy(update={"detection": baseline.detection})
    return with_recipe(detector, changed)


def fingerprint(detector: Detector) -> str:
    """Return 16 hex digits that change with what a model does to a scan.

    Of a recipe only what is not at its default counts, so that a table of many hours survives a
    new option. How the network was trained is in its weights.
    """
    facts = [_facts(model) for model in detector.map_models.values()]
    facts += [step.model_dump_json() for step in detector.steps]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _facts(model: MapModel) -> str:
    parts = {"contrasts", "optional", "axes", "preparation", "family", "detection"}
    section = model.recipe.model_dump(mode="json", include=parts, exclude_defaults=True)
    facts = [json.dumps(section, sort_keys=True), model.weights_hash, repr(dict(model.thresholds))]
    facts += [] if model.fitted.codes is None else [model.fitted.codes.digest]
    return "\n".join(facts)


def needed_contrasts(detector: Detector) -> frozenset[str]:
    """Return the contrasts that a scan must have."""
    return frozenset(detector.contrasts) - detector.optional
