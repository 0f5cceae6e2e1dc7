"""A paper's rows, from recipe to measured table and page.

::

    rows/*.yaml, protocol.yaml --reproduce--> measured.tsv, curves/ --page_of--> README.md
                                              published.tsv ---------^

Every row is trained on one split of the data and judged on another, under thresholds whose names
say what they were allowed to see. The row ``intensity``, which has no network, stands beside every
model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from anomri.datasets import find
from anomri.evaluation import write_table
from anomri.experiments.reproduction.measurement import Line, Trial
from anomri.experiments.reproduction.protocol import FULL, Protocol, Setting, Size, Source, TestSet
from anomri.experiments.reproduction.rows import Row, rows_of, size_of
from anomri.experiments.reproduction.scans import Data
from anomri.experiments.reproduction.table import commit, replace_lines
from anomri.experiments.reproduction.training import (
    Work,
    keep_curves,
    train_row,
)
from anomri.files import MEASURED, SPLITS
from anomri.recipe import Recipe
from anomri.synthesis import make_phantoms


@dataclass(frozen=True, slots=True)
class Plan:
    """One call of :func:`reproduce`.

    Attributes:
        protocol: of the paper.
        data: where the scans lie.
        work: where the work is kept.
        size: name of a size of the protocol.
        rows: those to measure; all where none is named.
        out: folder for ``measured.tsv`` and ``curves``; the paper's where None.
    """

    protocol: Protocol
    data: Data
    work: Work
    size: str = FULL
    rows: frozenset[str] = field(default_factory=frozenset)
    out: Path | None = None

    @property
    def settings(self) -> Sequence[Setting]:
        """Thresholds to measure under."""
        own = self.protocol.sizes[self.size].settings
        return self.protocol.settings if own is None else own


def reproduce(folder: Path, plan: Plan) -> Path:
    """Measure the chosen rows of a paper into its table.

    The table is written after each row, so that a killed run loses no more than one.

    Raises:
        UsageError: the folder has no rows, or a row, size or data set named is not there.
    """
    path = (plan.out or folder) / MEASURED
    rows = rows_of(folder, plan.protocol, plan.size, plan.rows)
    for row in rows:
        replace_lines(path, measure(row, plan, path.parent / "curves"))
    return path


def measure(row: Row, plan: Plan, curves: Path) -> list[Line]:
    """Train, calibrate, detect and evaluate one row on every test set."""
    size, work = size_of(row, plan.size), plan.work
    model = train_row(row, plan.data.found(plan.protocol.train), plan.settings, work)
    ended = keep_curves(row, work, curves / size)
    origin = {
        "size": size,
        **ended,
        "commit": commit(),
        "anomri": version("anomri"),
        "seed": ", ".join(str(seed) for seed in row.members or (row.recipe.training.seed,)),
    }
    lines: list[Line] = []
    for one in plan.protocol.test:
        out = work.folder / "out" / row.recipe.name / one.name.replace(" ", "-")
        trial = Trial(row, model, plan.data.found(one.sources), out, work)
        for setting in plan.settings:
            lines += [{**origin, "data": one.name, **line} for line in trial.measure(setting)]
    return lines


def trial(folder: Path, work: Path) -> Plan:
    """Return a trial of a paper's rows on phantoms: two steps per network, no figure.

    It shows that every row builds, trains, saves, loads, detects and is evaluated. Rows shrink to
    what a laptop trains in seconds: small batches, and a segmenter's coarse voxels and few filters.
    """
    cohort = make_phantoms(work / "phantoms", healthy=1, gliomas=4, lesions=0, spacing_mm=3.0)
    names = [files.subject for files in find(cohort).scans]
    parts = ["train", "train", "train", "train", "test"]
    split_file = work / SPLITS
    write_table(split_file, [{"subject": n, "split": p} for n, p in zip(names, parts, strict=True)])
    protocol = Protocol(
        paper=folder.name,
        train=(Source(layout="phantom", split="train"),),
        test=(TestSet(name="phantoms", sources=(Source(layout="phantom"),)),),
        sizes={FULL: Size(change=_shrunk(folder))},
    )
    return Plan(protocol, Data(cohort, split_file), Work(work, max_steps=2), out=work)


def _shrunk(folder: Path) -> dict[str, object]:
    """Return what makes a paper's rows small."""
    recipes = [Recipe.load(path) for path in (folder / "rows").glob("*.yaml")]
    training = {"batch_size": min([8, *(r.training.batch_size for r in recipes)])}
    change: dict[str, object] = {"training": {**training, "crop": None}}
    if any("filters" in recipe.family.options for recipe in recipes):
        change["preparation"] = {"spacing_mm": [4.0, 4.0, 4.0], "shape": [48, 48, 48]}
        change["family"] = {"options": {"filters": 8}}
    return change
