"""What is compared with what, on which scans: ``comparison.yaml``.

The file is written before anything is measured: which row stands for a family follows from a rule
that looks at no figure of a test scan. Folders are named below the one that ``--data`` gives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anomri.errors import RecipeError
from anomri.experiments.reproduction import Source
from anomri.files import COMPARISON, parse_yaml, read_text

Decision = Literal["own", "common"]

OWN: Final = "own"
COMMON: Final = "common"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(_Section):
    """Rows that learn from the same thing.

    Attributes:
        name: in a few words.
        about: what they learn from and what decides, for the page.
        paper: folder of their paper, beside that of the comparison; empty for built-in models.
        size: of the paper's protocol.
        supervised: whether it is taught with the experts' labels.
        rows: names.
    """

    name: str
    about: str
    paper: str = ""
    size: str = "full"
    supervised: bool = False
    rows: tuple[str, ...] = Field(min_length=1)


class ScanSet(_Section):
    """Scans that are measured together.

    Attributes:
        name: as the tables say it.
        about: what they are, for the page.
        sources: data sets that make it up.
        regions: whether its reference tells core and enhancing tumour apart.
        healthy: whether what is marked outside the reference is the figure that counts.
        decisions: under which to judge.
    """

    name: str
    about: str
    sources: tuple[Source, ...] = Field(min_length=1)
    regions: bool = False
    healthy: bool = False
    decisions: tuple[Decision, ...] = (OWN, COMMON)


class Aim(_Section):
    """A figure that was aimed at before.

    Attributes:
        text: what is to be reached.
        data: name of a set or of a pool.
        region: of the reference.
        metric: a column of the table of scans.
        statistic: over the scans.
        bound: the figure.
        below: whether it has to stay at or below the bound.
    """

    text: str
    data: str
    region: str = "whole"
    metric: str = "dice"
    statistic: Literal["mean", "median", "lowest"] = "mean"
    bound: float
    below: bool = False


class Definition(_Section):
    """A comparison.

    Attributes:
        title: of the page.
        rule: how the rows were chosen, for the page.
        baseline: row that every other is compared with; the common decision is its own.
        regions_baseline: the same for regions.
        candidate: row that the aims are about.
        groups: of rows, in the order of the tables.
        regions_only: rows whose whole tumour is that of another row, so that only regions count.
        test: sets of scans.
        pools: sets to be counted together, by the name of all of them.
        edges_ml: between classes of lesion volume.
        aims: figures aimed at.
        notes: what a reader must know, a sentence each.
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
        """Rows of papers that learn without labels and show the whole lesion."""
        return [
            name
            for name, group in self.rows.items()
            if group.paper and not group.supervised and name not in self.regions_only
        ]

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """Sets that each table is of, by the table's name: every set alone, then every pool."""
        return {one.name: (one.name,) for one in self.test} | self.pools

    @model_validator(mode="after")
    def _names_agree(self) -> Definition:
        """Refuse a row that is there twice, and names that nothing has."""
        listed = [name for group in self.groups for name in group.rows]
        twice = {name for name in listed if listed.count(name) > 1}
        named = {self.baseline, self.candidate, *self.regions_only}
        named |= {self.regions_baseline} - {""}
        pooled = {name for names in self.pools.values() for name in names}
        for what, wrong in (
            ("rows that are there twice", twice),
            ("rows that no group has", named - set(listed)),
            ("sets that are not measured", pooled - {one.name for one in self.test}),
            ("aims for sets", {aim.data for aim in self.aims} - set(self.sets)),
        ):
            if wrong:
                raise ValueError(f"{what}: {', '.join(sorted(wrong))}")
        return self

    @classmethod
    def load(cls, folder: Path) -> Definition:
        """Read ``comparison.yaml`` of a folder.

        Raises:
            RecipeError: it is missing, is not YAML, or does not validate.
        """
        path = folder / COMPARISON
        if not path.is_file():
            raise RecipeError(
                f"{folder.name}: expected {COMPARISON}, found none. "
                "Next: give the folder of a comparison, such as recipes/comparison."
            )
        try:
            return cls.model_validate(parse_yaml(read_text(path)))
        except (yaml.YAMLError, ValidationError) as error:
            raise RecipeError(f"{folder.name}/{COMPARISON}: {error}") from error
