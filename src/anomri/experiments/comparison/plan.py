"""Execution of a comparison: training, detection and measurement of what is missing."""

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
    ScoreKey,
    Scores,
    rename_size,
    replace_lines,
    replace_row,
)
from anomri.experiments.reproduction import Data, Work, commit
from anomri.files import remove_stale_drafts
from anomri.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Plan:
    """One call of :func:`compare`.

    Attributes:
        definition: the comparison.
        data: location of the scans.
        work: location of trainings and detections.
        runs: additional folder in which trained networks are searched.
        rows: rows to measure; all if empty.
        trains: whether to train missing networks.
        executor: executor of detection and measurement.
        again: also measure what has not changed, after a change of the program.
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
    """Result of a call of :func:`compare`.

    Attributes:
        measured: row, decision and set of new measurements.
        kept: the same of earlier measurements that are still valid.
        untrained: rows without a network.
        failures: row, set, subject and reason of the scans that the table has no measures of.
    """

    measured: list[ScoreKey] = field(default_factory=list)
    kept: list[ScoreKey] = field(default_factory=list)
    untrained: list[str] = field(default_factory=list)
    failures: list[tuple[str, str, str, str]] = field(default_factory=list)


def compare(folder: Path, plan: Plan) -> Report:
    """Add missing measurements to the tables of a comparison's folder.

    The tables are written after each set of scans, so that a killed call loses at most one.

    Raises:
        UsageError: a row, size or data set is unknown or missing.
    """
    for place in (folder, plan.work.folder):
        remove_stale_drafts(place)
    run_folders = (plan.work.folder, *([plan.runs] if plan.runs else []))
    trainer = Trainer(folder.parent, plan.data, plan.work, runs_below(*run_folders), plan.trains)
    report = Report()
    for entry in chosen_rows(plan.definition, folder.parent, plan.rows):
        trained = trainer.detector(entry)
        if trained is None:
            report.untrained.append(entry.name)
            continue
        detector, ended = trained
        before = len(report.measured)
        for key, task in _tasks(entry.name, detector, plan):
            if plan.again:
                shutil.rmtree(task.out, ignore_errors=True)
            _measure(folder, key, task, report, again=plan.again)
        origin = _origin(entry, detector)
        if len(report.measured) > before:
            replace_row(folder, {**origin, **ended})
        else:
            rename_size(folder, entry.name, origin["size"])
    report.failures = Scores.of(folder).failures()
    return report


def _tasks(row: str, detector: Detector, plan: Plan) -> Iterator[tuple[ScoreKey, DetectTask]]:
    """Yield the tasks of a row on every set, under its own and under the common decision."""
    definition = plan.definition
    common = under_common_decision(detector, Recipe.load(definition.baseline))
    models = {OWN: detector} | ({COMMON: common} if common else {})
    for test in definition.test:
        if row in definition.regions_only and not test.regions:
            continue
        scans = usable(plan.data.scans_of(test.sources), detector)
        for decision in (name for name in models if name in test.decisions and scans.scans):
            out = plan.work.folder / "detections" / row / decision / test.name.replace(" ", "-")
            arguments = (models[decision], scans, test, definition.edges_ml, out)
            execution = batch.Execution(plan.executor, progress=plan.work.progress)
            task = DetectTask(*arguments, execution=execution)
            yield (row, decision, test.name), task


def _measure(folder: Path, key: ScoreKey, task: DetectTask, report: Report, *, again: bool) -> None:
    """Measure a model on a set, unless the table has valid measurements."""
    model_hash = fingerprint(task.detector)
    subjects = [files.name for files in task.scans.scans]
    if not again and Scores.of(folder).is_current(key, model_hash, subjects):
        report.kept.append(key)
        return
    lines = [{**line, "fingerprint": model_hash} for line in task.lines()]
    replace_lines(folder, key, lines, task.edges_ml)
    report.measured.append(key)


def _origin(entry: Entry, detector: Detector) -> dict[str, Any]:
    is_trained = entry.row is not None
    return {
        "row": entry.name,
        "paper": entry.group.paper,
        "size": entry.group.size if is_trained else "",
        "seed": detector.recipe.training.seed if is_trained else "",
        "weights_sha256": detector.weights_hash,
        "anomri": version("anomri"),
        "commit": commit(),
    }
