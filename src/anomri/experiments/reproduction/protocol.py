"""What a paper's table is made from: scans, thresholds, sizes, columns; ``protocol.yaml``.

The file lies beside the paper's rows and holds everything that is neither a row nor a machine.
Folders are named below the one that ``--data`` gives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anomri.errors import RecipeError
from anomri.files import PROTOCOL, parse_yaml, read_text

FULL = "full"

Setting = Literal["recipe", "slices", "robust", "healthy", "labelled", "halves"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Section):
    """Scans of one data set.

    Attributes:
        folder: below the folder of all data; ``.`` is that folder itself.
        layout: name of a layout.
        split: whose subjects, see the split file.
    """

    folder: str = "."
    layout: str = "auto"
    split: str = "test"


class TestSet(_Section):
    """Scans that are measured together.

    Attributes:
        name: as the table says it.
        sources: data sets that make it up.
    """

    name: str
    sources: tuple[Source, ...] = Field(min_length=1)


class Size(_Section):
    """How large the rows are trained.

    Attributes:
        about: in words, for the page.
        change: sections of the recipe with the options to change in every row.
        rows: what else to change in one row, by its name.
        settings: thresholds to measure under; the protocol's where None.
        members: networks of an ensemble.
    """

    about: str = ""
    change: dict[str, Any] = Field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = Field(default_factory=dict)
    settings: tuple[Setting, ...] | None = None
    members: int = Field(10, ge=2)


class Column(_Section):
    """A figure of the paper and the measure of ours that stands beside it.

    Attributes:
        title: heading.
        metric: our measure.
        quantity: the paper's, as ``published.tsv`` calls it; empty where it gives none.
        spread: its standard deviation over scans, likewise.
        deviation: show ours with its standard deviation over scans in place of an interval.
        data: name of the test set.
        region: of the truth.
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


class Table(_Section):
    """A table of the page.

    Attributes:
        title: heading.
        rows: those shown, in order; all that were published or measured where there are none.
        columns: from left to right.
    """

    title: str
    rows: tuple[str, ...] = ()
    columns: tuple[Column, ...] = Field(min_length=1)


class Protocol(_Section):
    """How the rows of one paper are trained and judged.

    Attributes:
        paper: how the text names it.
        train: scans to learn and to calibrate from.
        test: sets to measure on.
        settings: thresholds to measure under.
        sizes: by name; ``full`` is as the recipes say.
        ensembles: row to average, by the name of the row that the ensemble is.
        pairs: row of the whole and row of the enhancing tumour, by the name of the row that names
            regions with both.
        tables: of the page; the first column of each decides its order of models.
        differences: between the paper's protocol and this one, a sentence each.
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
        """Refuse a column of a set that is not measured, and a protocol without full size."""
        sets = {one.name for one in self.test}
        wrong = {c.data for table in self.tables for c in table.columns} - sets
        if wrong:
            raise ValueError(f"a column of '{min(wrong)}'; test sets: {', '.join(sorted(sets))}")
        if FULL not in self.sizes:
            raise ValueError(f"sizes: expected one called '{FULL}'")
        return self

    @classmethod
    def load(cls, folder: Path) -> Protocol:
        """Read ``protocol.yaml`` of a paper's folder.

        Raises:
            RecipeError: it is missing, is not YAML, or does not validate.
        """
        path = folder / PROTOCOL
        if not path.is_file():
            raise RecipeError(
                f"{folder.name}: expected {PROTOCOL} beside the rows, found none. "
                "Next: copy that of another paper and name your scans in it."
            )
        try:
            return cls.model_validate(parse_yaml(read_text(path)))
        except (yaml.YAMLError, ValidationError) as error:
            raise RecipeError(f"{folder.name}/{PROTOCOL}: {error}") from error
