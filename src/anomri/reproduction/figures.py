"""Looking up published and measured figures, and comparing their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan
from pathlib import Path

from anomri.reproduction.protocol import Column, Protocol, Table
from anomri.reproduction.rows import BASELINE
from anomri.reproduction.table import MEASURED, PUBLISHED, setting_of
from anomri.tsv import read_tsv

Line = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Figures:
    """The two tables of a paper.

    Attributes:
        published: lines of ``published.tsv``.
        measured: lines of ``measured.tsv``.
    """

    published: Sequence[Line]
    measured: Sequence[Line]

    @classmethod
    def of(cls, folder: Path) -> Figures:
        """Read both; either may be missing."""
        return cls(read_tsv(folder / PUBLISHED), read_tsv(folder / MEASURED))

    def rows_of(self, table: Table) -> list[tuple[str, str]]:
        """List row and size of what a table shows; the size is empty where nothing is measured."""
        names = dict.fromkeys([BASELINE, *(line["row"] for line in self.published)])
        names |= dict.fromkeys(line["row"] for line in self.measured)
        shown = [name for name in (table.rows or names) if name in names]
        return [(name, size) for name in shown for size in self._sizes(name) or [""]]

    def trained(self) -> list[Line]:
        """Return one line per trained row and size."""
        lines = {
            (line["row"], line["size"]): line for line in self.measured if line["row"] != BASELINE
        }
        return list(lines.values())

    def published_value(self, row: str, quantity: str) -> float | None:
        """Return a figure of the paper; None where it gives none."""
        for line in self.published:
            if (line["row"], line["quantity"]) == (row, quantity):
                return float(line["value"])
        return None

    def measured_line(self, row: str, size: str, column: Column) -> Line | None:
        """Return our line for a column; None where it is not measured."""
        wanted = (row, size, column.data, column.region, column.metric)
        for line in self.measured:
            found = tuple(line[k] for k in ("row", "size", "data", "region", "metric"))
            if found == wanted and setting_of(line["threshold"]) == column.threshold:
                return line
        return None

    def published_cell(self, row: str, column: Column) -> str:
        """Return the paper's figure as text; empty where it gives none."""
        value = self.published_value(row, column.quantity)
        spread = self.published_value(row, column.spread) if column.spread else None
        if value is None:
            return ""
        return f"{value:g}" if spread is None else f"{value:.3f} ± {spread:.3f}"

    def measured_cell(self, row: str, size: str, column: Column) -> str:
        """Return our figure as text; empty where it is not measured."""
        line = self.measured_line(row, size, column)
        if line is None:
            return ""
        mean, lower, upper, sd = (_number(line[k]) for k in ("mean", "lower", "upper", "sd"))
        if column.spread or column.deviation:
            return f"{mean:.3f} ± {sd:.3f}"
        interval = "" if isnan(lower) else f" ({lower:.2f} to {upper:.2f})"
        return f"{mean:.3f}{interval}"

    def _sizes(self, row: str) -> list[str]:
        return list(dict.fromkeys(line["size"] for line in self.measured if line["row"] == row))


def order_of(protocol: Protocol, figures: Figures) -> Iterator[str]:
    """Say, for each compared column and size, whether the paper's order of models comes out."""
    for table in protocol.tables:
        for column in table.columns:
            for size in protocol.sizes if column.quantity else ():
                sentence = _order(column, size, figures)
                if sentence:
                    yield sentence


def _order(column: Column, size: str, figures: Figures) -> str:
    """Compare every pair of models that the paper ranks; empty where fewer than two are there."""
    ours: dict[str, Line] = {}
    theirs: dict[str, float] = {}
    for line in figures.published:
        mine = figures.measured_line(line["row"], size, column)
        if line["quantity"] == column.quantity and mine is not None:
            theirs[line["row"]], ours[line["row"]] = float(line["value"]), mine
    pairs = [(a, b) for a, b in combinations(theirs, 2) if theirs[a] != theirs[b]]
    if not pairs:
        return ""
    means = {name: float(line["mean"]) for name, line in ours.items()}
    same = sum((theirs[a] - theirs[b]) * (means[a] - means[b]) > 0 for a, b in pairs)
    apart = sum(_apart(ours[a], ours[b]) for a, b in pairs)
    best, first = max(theirs, key=theirs.__getitem__), max(means, key=means.__getitem__)
    lowest = _is_error(column)
    if lowest:
        best, first = min(theirs, key=theirs.__getitem__), min(means, key=means.__getitem__)
    return (
        f"{column.title}, size `{size}`, {len(theirs)} models: {_verdict(same, len(pairs))}: "
        f"{same} of {len(pairs)} pairs are in the paper's order (our 95 % intervals are apart in "
        f"{apart}). Best in the paper: `{best}`; here: `{first}`{_beside(column, figures)}."
    )


def _verdict(same: int, pairs: int) -> str:
    if same == pairs:
        return "the order comes out"
    return "the order does not come out" if 2 * same <= pairs else "the order comes out in part"


def _beside(column: Column, figures: Figures) -> str:
    """Say what the row without a network reaches."""
    line = figures.measured_line(BASELINE, "full", column)
    return "" if line is None else f"; `{BASELINE}`, without a network: {float(line['mean']):.3f}"


def _is_error(column: Column) -> bool:
    """Whether less is better."""
    return column.metric.endswith(("_mm", "_mae"))


def _apart(one: Line, other: Line) -> bool:
    """Whether two intervals do not overlap."""
    return float(one["lower"]) > float(other["upper"]) or float(other["lower"]) > float(
        one["upper"]
    )


def _number(cell: str) -> float:
    return float("nan") if cell == "n/a" else float(cell)
