"""All families of the papers and the built-in models on the same scans, scan by scan.

::

    comparison.yaml --compare--> scans.tsv, rows.tsv --write_page--> README.md

Networks that ``anomri reproduce`` has trained are taken where they lie. Every difference is paired:
over the scans that both rows have.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anomri import batch
from anomri.detector import Detector
from anomri.experiments.comparison.definition import COMMON, OWN, Definition
from anomri.experiments.comparison.entries import (
    Entry,
    Trainer,
    chosen_rows,
    fingerprint,
    runs_below,
    under_common_decision,
)
from anomri.experiments.comparison.measurement import DetectTask, usable
from anomri.experiments.comparison.score_table import (
    Place,
    Scores,
    rename_size,
    replace_lines,
    replace_row,
)
from anomri.experiments.reproduction import Data, Work, commit
from anomri.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Plan:
    """One call of :func:`compare`.

    Attributes:
        definition: of the comparison.
        data: where the scans lie.
        work: where trainings and detections are kept.
        runs: folder below which trained networks are looked for, beside that of the work.
        rows: those to measure; all where none is named.
        trains: whether to train what nobody has trained.
        executor: who looks at scans and measures them.
        again: measure what has not changed too, for a change in the program.
    """

    definition: Definition
    data: Data
    work: Work
    runs: Path | None = None
    rows: frozenset[str] = field(default_factory=frozenset)
    trains: bool = True
    executor: batch.Executor = batch.SERIAL
    again: bool = False


@dataclass(slots=True)
class Report:
    """What a call did.

    Attributes:
        measured: row, decision and set of what was measured now.
        kept: the same of what was measured before and has not changed.
        untrained: rows without a network.
    """

    measured: list[Place] = field(default_factory=list)
    kept: list[Place] = field(default_factory=list)
    untrained: list[str] = field(default_factory=list)


def compare(folder: Path, plan: Plan) -> Report:
    """Measure what is not measured yet into the tables of a comparison's folder.

    The tables are written after each set of scans, so that a killed call loses no more than one.

    Raises:
        UsageError: a row, a size or a data set named is not there.
    """
    places = (plan.work.folder, *([plan.runs] if plan.runs else []))
    trainer = Trainer(folder.parent, plan.data, plan.work, runs_below(*places), plan.trains)
    report = Report()
    for one in chosen_rows(plan.definition, folder.parent, plan.rows):
        ready = trainer.detector(one)
        if ready is None:
            report.untrained.append(one.name)
            continue
        detector, ended = ready
        before = len(report.measured)
        for place, look in _looks(one.name, detector, plan):
            if plan.again:
                shutil.rmtree(look.out, ignore_errors=True)
            _measure(folder, place, look, report, again=plan.again)
        origin = _origin(one, detector)
        if len(report.measured) > before:
            replace_row(folder, {**origin, **ended})
        else:
            rename_size(folder, one.name, origin["size"])
    return report


def _looks(row: str, detector: Detector, plan: Plan) -> Iterator[tuple[Place, DetectTask]]:
    """Yield a row's model before every set, under its own decision and under the common one."""
    definition = plan.definition
    common = under_common_decision(detector, Recipe.load(definition.baseline))
    models = {OWN: detector} | ({COMMON: common} if common else {})
    for test in definition.test:
        if row in definition.regions_only and not test.regions:
            continue
        scans = usable(plan.data.found(test.sources), detector)
        for decision in (name for name in models if name in test.decisions and scans.scans):
            out = plan.work.folder / "detections" / row / decision / test.name.replace(" ", "-")
            seen = (models[decision], scans, test, definition.edges_ml, out)
            execution = batch.Execution(plan.executor, progress=plan.work.progress)
            look = DetectTask(*seen, execution=execution)
            yield (row, decision, test.name), look


def _measure(folder: Path, place: Place, look: DetectTask, report: Report, *, again: bool) -> None:
    """Measure one model on one set, unless the table has it already."""
    mark = fingerprint(look.detector)
    subjects = [files.name for files in look.scans.scans]
    if not again and Scores.of(folder).holds(place, mark, subjects):
        report.kept.append(place)
        return
    lines = [{**line, "fingerprint": mark} for line in look.lines()]
    replace_lines(folder, place, lines, look.edges_ml)
    report.measured.append(place)


def _origin(one: Entry, detector: Detector) -> dict[str, Any]:
    network = one.row is not None
    return {
        "row": one.name,
        "paper": one.group.paper,
        "size": one.group.size if network else "",
        "seed": detector.recipe.training.seed if network else "",
        "weights_sha256": detector.weights_hash,
        "anomri": version("anomri"),
        "commit": commit(),
    }
