"""Published and measured figures of a paper, and the comparison of their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan
from pathlib import Path

from anomri.experiments.reproduction.protocol import FULL, Column, Protocol, Table
from anomri.experiments.reproduction.rows import BASELINE
from anomri.experiments.reproduction.table import setting_of
from anomri.files import MEASURED, PUBLISHED, read_tsv

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
        """Read both tables; missing ones are empty."""
        return cls(read_tsv(folder / PUBLISHED), read_tsv(folder / MEASURED))

    def rows_of(self, table: Table) -> list[tuple[str, str]]:
        """List row and size of a table's lines; the size of unmeasured rows is empty."""
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

    def published_value(self, row: str, quantity: str) -> str:
        """Return a figure as printed in the paper; empty if there is none."""
        for line in self.published:
            if (line["row"], line["quantity"]) == (row, quantity):
                return line["value"]
        return ""

    def measured_line(self, row: str, size: str, column: Column) -> Line | None:
        """Return our line for a column; None if it has not been measured."""
        key = (row, size, column.data, column.region, column.metric)
        for line in self.measured:
            line_key = tuple(line[k] for k in ("row", "size", "data", "region", "metric"))
            if line_key == key and setting_of(line["threshold"]) == column.threshold:
                return line
        return None

    def published_cell(self, row: str, column: Column) -> str:
        """Format the paper's figure; empty if there is none."""
        value = self.published_value(row, column.quantity)
        spread = self.published_value(row, column.spread) if column.spread else ""
        return f"{value} ± {spread}" if value and spread else value

    def measured_cell(self, row: str, size: str, column: Column) -> str:
        """Format our figure; empty if it has not been measured."""
        line = self.measured_line(row, size, column)
        if line is None:
            return ""
        mean, lower, upper, sd = (_number(line[k]) for k in ("mean", "lower", "upper", "sd"))
        if isnan(mean):
            return ""
        if column.spread or column.deviation:
            return f"{mean:.3f} ± {sd:.3f}"
        interval = "" if isnan(lower) else f" ({lower:.2f} to {upper:.2f})"
        return f"{mean:.3f}{interval}"

    def _sizes(self, row: str) -> list[str]:
        return list(dict.fromkeys(line["size"] for line in self.measured if line["row"] == row))


def order_of(protocol: Protocol, figures: Figures) -> Iterator[str]:
    """Compare the order of models in the first column of each table, at each size."""
    for table in protocol.tables:
        column = table.columns[0]
        for size in protocol.sizes:
            ours = {
                name: line
                for name, _ in figures.rows_of(table)
                if name != BASELINE and (line := figures.measured_line(name, size, column))
            }
            about = f"{table.title}, {column.title}, size `{size}`"
            sentences = [_order(column, ours, figures), _baseline(column, ours, figures)]
            text = " ".join(sentence for sentence in sentences if sentence)
            if text:
                yield f"{about}: {text}"


def _order(column: Column, ours: Mapping[str, Line], figures: Figures) -> str:
    """Compare every pair of models that the paper ranks; empty without such a pair."""
    printed = {name: figures.published_value(name, column.quantity) for name in ours}
    published = {name: float(value) for name, value in printed.items() if value}
    pairs = [(a, b) for a, b in combinations(published, 2) if published[a] != published[b]]
    if not pairs:
        return ""
    means = {name: float(ours[name]["mean"]) for name in published}
    same = sum((published[a] - published[b]) * (means[a] - means[b]) > 0 for a, b in pairs)
    separate = sum(_are_separate(ours[a], ours[b]) for a, b in pairs)
    best = min if _is_error(column) else max
    return (
        f"{_verdict(same, len(pairs))}: {same} of {len(pairs)} pairs of models are in the paper's "
        f"order, and our 95 % intervals are apart in {separate}. Best in the paper of these "
        f"{len(published)}: `{best(published, key=published.__getitem__)}`; "
        f"here: `{best(means, key=means.__getitem__)}`."
    )


def _baseline(column: Column, ours: Mapping[str, Line], figures: Figures) -> str:
    """Count the models that are better than the baseline; empty without a baseline."""
    line = figures.measured_line(BASELINE, FULL, column)
    if line is None or not ours:
        return ""
    sign = -1 if _is_error(column) else 1
    baseline = float(line["mean"])
    better = sum(sign * (float(model["mean"]) - baseline) > 0 for model in ours.values())
    return (
        f"{better} of {len(ours)} models {'is' if better == 1 else 'are'} better than "
        f"`{BASELINE}`, which has no network ({baseline:.3f})."
    )


def _verdict(same: int, pairs: int) -> str:
    if same == pairs:
        return "the order is reproduced"
    return "the order is not reproduced" if 2 * same <= pairs else "the order is reproduced in part"


def _is_error(column: Column) -> bool:
    """Tell whether lower values are better."""
    return column.metric.endswith(("_mm", "_mae"))


def _are_separate(first: Line, second: Line) -> bool:
    """Tell whether two intervals do not overlap."""
    lowers = float(first["lower"]), float(second["lower"])
    uppers = float(first["upper"]), float(second["upper"])
    return lowers[0] > uppers[1] or lowers[1] > uppers[0]


def _number(cell: str) -> float:
    return float("nan") if cell == "n/a" else float(cell)
