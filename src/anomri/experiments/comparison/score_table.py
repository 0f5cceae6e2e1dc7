"""``scans.tsv``: every scan under every row, and ``rows.tsv``: what each row is.

A row's lines are made anew only when its fingerprint (recipe, weights and what was fitted) or its
scans are not those of the table any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anomri.evaluation import write_table
from anomri.experiments.comparison.definition import OWN
from anomri.experiments.comparison.measurement import METRICS, WHOLE, columns
from anomri.files import COMPARISON_ROWS, COMPARISON_SCANS, NOTHING, read_tsv

PLACE = ("row", "decision", "data")
ROW_COLUMNS = (
    *("row", "paper", "size", "epochs", "best_epoch", "ended", "seed"),
    *("weights_sha256", "anomri", "commit"),
)

Place = tuple[str, str, str]
Values = Mapping[tuple[str, str], float]  # (set, subject) -> a measure


@dataclass(frozen=True, slots=True)
class Scores:
    """What ``scans.tsv`` says.

    Attributes:
        lines: of the table.
    """

    lines: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, folder: Path) -> Scores:
        """Read the table; empty where there is none."""
        return cls(read_tsv(folder / COMPARISON_SCANS))

    def holds(self, place: Place, fingerprint: str, subjects: Iterable[str]) -> bool:
        """Tell whether a row was measured as it is now, on these scans, and none failed."""
        lines = [line for line in self.lines if _place(line) == place]
        measured = {line["subject"] for line in lines}
        as_now = all(line["fingerprint"] == fingerprint for line in lines)
        return as_now and measured == set(subjects) and not any(map(_failure, lines))

    def measured(self, row: str, decision: str = OWN) -> bool:
        """Tell whether there is anything of a row."""
        return any((line["row"], line["decision"]) == (row, decision) for line in self.lines)

    def values(
        self,
        row: str,
        metric: str,
        data: Sequence[str],
        *,
        region: str = WHOLE,
        decision: str = OWN,
    ) -> Values:
        """Return a measure of each scan that has it; not defined and not applicable are left out.

        Args:
            row: its name.
            metric: a column.
            data: names of sets.
            region: of the reference.
            decision: ``own`` or ``common``.
        """
        wanted = (row, decision, region)
        return {
            (line["data"], line["subject"]): float(line[metric])
            for line in self.lines
            if (line["row"], line["decision"], line["region"]) == wanted
            and line["data"] in data
            and line.get(metric, NOTHING) not in (NOTHING, "nan")
        }

    def failures(self) -> list[tuple[str, str, str, str]]:
        """List row, set, subject and reason of what could not be measured."""
        return [
            (line["row"], line["data"], line["subject"], _failure(line))
            for line in self.lines
            if _failure(line)
        ]


def replace_lines(
    folder: Path, place: Place, fresh: Sequence[Mapping[str, Any]], edges_ml: Sequence[float]
) -> None:
    """Write the lines of a row, a decision and a set in the place of the former ones."""
    path = folder / COMPARISON_SCANS
    kept = [line for line in read_tsv(path) if _place(line) != place]
    origin = dict(zip(PLACE, place, strict=True))
    names = (*PLACE, "region", "subject", *METRICS, *columns(edges_ml), "failed", "fingerprint")
    lines = sorted([*kept, *({**origin, **line} for line in fresh)], key=_place)
    write_table(path, [{name: line.get(name) for name in names} for line in lines])


def replace_row(folder: Path, line: Mapping[str, Any]) -> None:
    """Write what a row is in the place of what it was."""
    path = folder / COMPARISON_ROWS
    kept = [one for one in read_tsv(path) if one["row"] != line["row"]]
    lines = sorted([*kept, line], key=lambda one: str(one["row"]))
    write_table(path, [{name: one.get(name) for name in ROW_COLUMNS} for one in lines])


def rename_size(folder: Path, row: str, size: str) -> None:
    """Call the size of a row that was not measured again what its paper calls it now."""
    for line in read_tsv(folder / COMPARISON_ROWS):
        if line["row"] == row and line["size"] != (size or NOTHING):
            replace_row(folder, {**line, "size": size})


def _place(line: Mapping[str, Any]) -> Place:
    return line["row"], line["decision"], line["data"]


def _failure(line: Mapping[str, str]) -> str:
    reason = line.get("failed", NOTHING)
    return "" if reason == NOTHING else reason
