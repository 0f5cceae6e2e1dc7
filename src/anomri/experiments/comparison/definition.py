"""Definition of a comparison, ``comparison.yaml``: rows, scans and aims.

The file is written before the measurements: the row of each network is chosen by a rule that uses
no figure of a test scan. Folders are relative to that of ``--data``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, model_validator

from anomri.experiments.reproduction import Section, Source
from anomri.files import COMPARISON

Decision = Literal["own", "common"]

OWN: Final = "own"
COMMON: Final = "common"


class Group(Section):
    """Rows with the same kind of training.

    Attributes:
        name: short name.
        about: description of training and decision, for the page.
        paper: folder of their paper, a sibling of the comparison's; empty for built-in models.
        size: size in the paper's protocol.
        supervised: whether they are trained with labels.
        rows: names of the rows.
    """

    name: str
    about: str
    paper: str = ""
    size: str = "full"
    supervised: bool = False
    rows: tuple[str, ...] = Field(min_length=1)


class ScanSet(Section):
    """Scans that are measured together.

    Attributes:
        name: name in the tables.
        about: description for the page.
        sources: data sets.
        regions: whether the reference distinguishes core and enhancing tumour.
        healthy: whether the main measure is the volume marked outside the reference.
        decisions: decisions to evaluate.
    """

    name: str
    about: str
    sources: tuple[Source, ...] = Field(min_length=1)
    regions: bool = False
    healthy: bool = False
    decisions: tuple[Decision, ...] = (OWN, COMMON)


class Aim(Section):
    """An aim that was set before the measurements.

    Attributes:
        text: description.
        data: name of a set or a pool.
        region: region of the reference.
        metric: column of the table of scans.
        statistic: statistic over the scans.
        bound: value to reach.
        below: whether the value is an upper bound.
    """

    text: str
    data: str
    region: str = "whole"
    metric: str = "dice"
    statistic: Literal["mean", "median", "lowest"] = "mean"
    bound: float
    below: bool = False


class Definition(Section):
    """A comparison.

    Attributes:
        title: title of the page.
        rule: how the rows were chosen, for the page.
        baseline: row that all others are compared with; its decision is the common one.
        regions_baseline: the same for regions.
        candidate: row to which the aims apply.
        groups: groups of rows, in the order of the tables.
        regions_only: rows whose whole tumour is that of another row, so that only regions count.
        test: sets of scans.
        pools: names of the sets of each pool, by the pool's name.
        edges_ml: limits between classes of lesion volume.
        aims: aims.
        notes: limitations, a sentence each.
    """

    title: str
    rule: str
    baseline: str
    regions_baseline: str = ""
    candidate: str
    groups: tuple[Group, ...] = Field(min_length=1)
    regions_only: tuple[str, ...] = ()
    test: tuple[ScanSet, ...] = Field(min_length=1)
    pools: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    edges_ml: tuple[float, ...] = (0.1, 1.0, 10.0)
    aims: tuple[Aim, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> dict[str, Group]:
        """Group of each row, by the row's name, in order."""
        return {name: group for group in self.groups for name in group.rows}

    @property
    def networks(self) -> list[str]:
        """Rows of papers that are trained without labels and show the whole lesion."""
        return [
            name
            for name, group in self.rows.items()
            if group.paper and not group.supervised and name not in self.regions_only
        ]

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """Names of the sets of each table, by the table's name: single sets, then pools."""
        return {scan_set.name: (scan_set.name,) for scan_set in self.test} | self.pools

    @model_validator(mode="after")
    def _names_agree(self) -> Definition:
        """Refuse duplicate rows and unknown names."""
        listed = [name for group in self.groups for name in group.rows]
        twice = {name for name in listed if listed.count(name) > 1}
        named = {self.baseline, self.candidate, *self.regions_only}
        named |= {self.regions_baseline} - {""}
        pooled = {name for names in self.pools.values() for name in names}
        for problem, names in (
            ("duplicate rows", twice),
            ("rows in no group", named - set(listed)),
            ("unknown sets in pools", pooled - {scan_set.name for scan_set in self.test}),
            ("unknown sets in aims", {aim.data for aim in self.aims} - set(self.sets)),
        ):
            if names:
                raise ValueError(f"{problem}: {', '.join(sorted(names))}")
        return self

    @classmethod
    def load(cls, folder: Path) -> Definition:
        """Read ``comparison.yaml`` of a folder.

        Raises:
            RecipeError: it is missing, is not YAML, or does not validate.
        """
        step = "give the folder of a comparison, such as recipes/comparison"
        return cls.read(folder / COMPARISON, next_step=step)
