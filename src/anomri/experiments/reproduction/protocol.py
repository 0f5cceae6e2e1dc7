"""Protocol of a paper's reproduction, ``protocol.yaml``: scans, thresholds, sizes and tables.

The file is in the folder of the paper's rows. Folders are relative to that of ``--data``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anomri.errors import RecipeError
from anomri.files import PROTOCOL, parse_yaml, read_text
from anomri.recipe import in_words

FULL = "full"
CORRECT_IT = "Next: correct it in this file."

Setting = Literal["recipe", "slices", "robust", "healthy", "labelled", "halves"]


class Section(BaseModel):
    """Part of a YAML file of an experiment, or all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, path: Path, *, next_step: str) -> Self:
        """Read a file.

        Args:
            path: of the file; errors name its folder too.
            next_step: for the user, where the file is missing.

        Raises:
            RecipeError: it is missing, is not YAML, or does not validate.
        """
        folder = path.parent.name
        if not path.is_file():
            raise RecipeError(f"{folder}: expected {path.name}, found none. Next: {next_step}.")
        try:
            return cls.model_validate(parse_yaml(read_text(path)))
        except yaml.YAMLError as error:
            fault = f"not valid YAML: {error}"
            raise RecipeError(f"{folder}/{path.name}: {fault}. {CORRECT_IT}") from error
        except ValidationError as error:
            fault = in_words(error, "the file")
            raise RecipeError(f"{folder}/{path.name}: {fault}. {CORRECT_IT}") from error


class Source(Section):
    """Scans of one data set.

    Attributes:
        folder: path below the folder of all data; ``.`` is that folder itself.
        layout: name of a layout.
        split: split whose subjects are used, see the split file.
    """

    folder: str = "."
    layout: str = "auto"
    split: str = "test"


class TestSet(Section):
    """Scans that are evaluated together.

    Attributes:
        name: name in the table.
        sources: data sets.
    """

    name: str
    sources: tuple[Source, ...] = Field(min_length=1)


class Size(Section):
    """Size of the trainings.

    Attributes:
        about: description for the page.
        change: sections of the recipe with the options to change in every row.
        rows: further changes of single rows, by name.
        settings: thresholds to evaluate; None for the protocol's.
        members: number of networks of an ensemble.
    """

    about: str = ""
    change: dict[str, Any] = Field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = Field(default_factory=dict)
    settings: tuple[Setting, ...] | None = None
    members: int = Field(10, ge=2)


class Column(Section):
    """A figure of the paper and our corresponding measure.

    Attributes:
        title: heading of the column.
        metric: our measure.
        quantity: the paper's figure, by its name in ``published.tsv``; empty without one.
        spread: the paper's standard deviation over scans, by its name.
        deviation: show the standard deviation over scans of our measure, not its interval.
        data: name of the test set.
        region: region of the truth.
        threshold: beginning of the threshold's name.
    """

    title: str
    metric: str
    quantity: str = ""
    spread: str = ""
    deviation: bool = False
    data: str
    region: str = "whole"
    threshold: str = "recipe"


class Table(Section):
    """A table of the page.

    Attributes:
        title: title of the table.
        rows: rows to show, in order; all published or measured ones if empty.
        columns: columns from left to right.
    """

    title: str
    rows: tuple[str, ...] = ()
    columns: tuple[Column, ...] = Field(min_length=1)


class Protocol(Section):
    """Training and evaluation of the rows of a paper.

    Attributes:
        paper: name of the paper in texts.
        train: scans for training and calibration.
        test: test sets.
        settings: thresholds to evaluate.
        sizes: sizes by name; ``full`` is that of the recipes.
        ensembles: row whose networks are averaged, by the name of the ensemble's row.
        pairs: rows of the whole and of the enhancing tumour, by the name of the row that combines
            both for regions.
        tables: tables of the page; the first column of each is used for the order of models.
        differences: differences from the paper's protocol, a sentence each.
    """

    paper: str
    train: tuple[Source, ...] = Field(min_length=1)
    test: tuple[TestSet, ...] = Field(min_length=1)
    settings: tuple[Setting, ...] = ("recipe",)
    sizes: dict[str, Size] = Field(default_factory=lambda: {FULL: Size()})
    ensembles: dict[str, str] = Field(default_factory=dict)
    pairs: dict[str, tuple[str, str]] = Field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    differences: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_agree(self) -> Protocol:
        """Refuse columns of unknown test sets, and a protocol without the full size."""
        sets = {test_set.name for test_set in self.test}
        unknown = {c.data for table in self.tables for c in table.columns} - sets
        if unknown:
            raise ValueError(f"a column of '{min(unknown)}'; test sets: {', '.join(sorted(sets))}")
        if FULL not in self.sizes:
            raise ValueError(f"sizes: expected one called '{FULL}'")
        return self

    @classmethod
    def load(cls, folder: Path) -> Protocol:
        """Read ``protocol.yaml`` of a paper's folder.

        Raises:
            RecipeError: it is missing, is not YAML, or does not validate.
        """
        step = "copy that of another paper and adapt it to your scans"
        return cls.read(folder / PROTOCOL, next_step=step)

    def settings_of(self, size: str) -> tuple[Setting, ...]:
        """Return the thresholds to evaluate at a size."""
        of_size = self.sizes[size].settings
        return self.settings if of_size is None else of_size
