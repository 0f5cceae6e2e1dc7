"""Reproduction of a paper's rows.

::

    rows/*.yaml, protocol.yaml --reproduce--> measured.tsv, curves/ --write_page--> README.md
                                              published.tsv ------------^

Every row is trained on one split of the data and evaluated on another, with thresholds whose names
state the data that they were fitted on. The row ``intensity`` is a baseline without a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from anomri.datasets import find
from anomri.evaluation import write_table
from anomri.experiments.reproduction.measurement import Line, RowEvaluation
from anomri.experiments.reproduction.protocol import FULL, Protocol, Setting, Size, Source, TestSet
from anomri.experiments.reproduction.rows import Row, rows_of, size_of
from anomri.experiments.reproduction.scans import Data
from anomri.experiments.reproduction.table import commit, replace_lines
from anomri.experiments.reproduction.training import (
    Work,
    keep_curves,
    train_row,
)
from anomri.files import MEASURED, SPLITS, remove_stale_drafts
from anomri.recipe import Recipe
from anomri.synthesis import make_phantoms


@dataclass(frozen=True, slots=True)
class Plan:
    """One call of :func:`reproduce`.

    Attributes:
        protocol: protocol of the paper.
        data: location of the scans.
        work: location of intermediate results.
        size: name of a size of the protocol.
        rows: rows to measure; all if empty.
        out: folder of ``measured.tsv`` and ``curves``; the paper's by default.
    """

    protocol: Protocol
    data: Data
    work: Work
    size: str = FULL
    rows: frozenset[str] = field(default_factory=frozenset)
    out: Path | None = None

    @property
    def settings(self) -> Sequence[Setting]:
        """Thresholds to evaluate."""
        return self.protocol.settings_of(self.size)


def reproduce(folder: Path, plan: Plan) -> Path:
    """Measure the chosen rows of a paper into its table.

    The table is written after each row, so that a killed run loses at most one. Scans that could
    not be used are added to ``plan.work.failures``.

    Raises:
        UsageError: the folder has no rows, or a row, size or data set is unknown or missing.
    """
    path = (plan.out or folder) / MEASURED
    for place in (path.parent, plan.work.folder):
        remove_stale_drafts(place)
    rows = rows_of(folder, plan.protocol, plan.size, plan.rows)
    for row in rows:
        replace_lines(path, measure(row, plan, path.parent / "curves"))
    return path


def measure(row: Row, plan: Plan, curves: Path) -> list[Line]:
    """Train, calibrate, detect and evaluate one row on every test set."""
    size, work = size_of(row, plan.size), plan.work
    model = train_row(row, plan.data.scans_of(plan.protocol.train), plan.settings, work)
    ended = keep_curves(row, work, curves / size)
    origin = {
        "size": size,
        **ended,
        "commit": commit(),
        "anomri": version("anomri"),
        "seed": ", ".join(str(seed) for seed in row.members or (row.recipe.training.seed,)),
    }
    lines: list[Line] = []
    for test_set in plan.protocol.test:
        out = work.folder / "out" / row.recipe.name / test_set.name.replace(" ", "-")
        scans = plan.data.scans_of(test_set.sources)
        evaluation = RowEvaluation(row, model, scans, out, work)
        for setting in plan.settings:
            measured = evaluation.measure(setting)
            lines += [{**origin, "data": test_set.name, **line} for line in measured]
    return lines


def trial(folder: Path, work: Path) -> Plan:
    """Return a smoke test of a paper's rows on phantoms, with two steps per network.

    It checks that every row builds, trains, saves, loads, detects and is evaluated. Rows are
    reduced to seconds of training: small batches, and coarse voxels and few filters of segmenters.
    """
    cohort = make_phantoms(work / "phantoms", healthy=1, gliomas=4, lesions=0, spacing_mm=3.0)
    names = [files.subject for files in find(cohort).scans]
    splits = ["train", "train", "train", "train", "test"]
    split_file = work / SPLITS
    write_table(
        split_file, [{"subject": n, "split": s} for n, s in zip(names, splits, strict=True)]
    )
    protocol = Protocol(
        paper=folder.name,
        train=(Source(layout="phantom", split="train"),),
        test=(TestSet(name="phantoms", sources=(Source(layout="phantom"),)),),
        sizes={FULL: Size(change=_reductions(folder))},
    )
    return Plan(protocol, Data(cohort, split_file), Work(work, max_steps=2), out=work)


def _reductions(folder: Path) -> dict[str, object]:
    """Return the options that reduce a paper's rows for a smoke test."""
    recipes = [Recipe.load(path) for path in (folder / "rows").glob("*.yaml")]
    training = {"batch_size": min([8, *(r.training.batch_size for r in recipes)])}
    change: dict[str, object] = {"training": {**training, "crop": None}}
    if any("filters" in recipe.family.options for recipe in recipes):
        change["preparation"] = {"spacing_mm": [4.0, 4.0, 4.0], "shape": [48, 48, 48]}
        change["family"] = {"options": {"filters": 8}}
    return change
