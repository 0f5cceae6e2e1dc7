"""Tables of a comparison: ``scans.tsv``, a line per row and scan, and ``rows.tsv``, a line per row.

A row is measured again only if its fingerprint (recipe, weights and fitted thresholds) or its scans
differ from those of the table.
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

KEY_COLUMNS = ("row", "decision", "data")
ROW_COLUMNS = (
    *("row", "paper", "size", "epochs", "best_epoch", "ended", "seed"),
    *("weights_sha256", "anomri", "commit"),
)

ScoreKey = tuple[str, str, str]  # row, decision, set
Values = Mapping[tuple[str, str], float]  # (set, subject) -> a measure


@dataclass(frozen=True, slots=True)
class Scores:
    """Content of ``scans.tsv``.

    Attributes:
        lines: lines of the table.
    """

    lines: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, folder: Path) -> Scores:
        """Read the table; empty if it does not exist."""
        return cls(read_tsv(folder / COMPARISON_SCANS))

    def is_current(self, key: ScoreKey, fingerprint: str, subjects: Iterable[str]) -> bool:
        """Tell whether this model was measured on these scans without a failure."""
        lines = [line for line in self.lines if _key(line) == key]
        measured = {line["subject"] for line in lines}
        same_model = all(line["fingerprint"] == fingerprint for line in lines)
        return same_model and measured == set(subjects) and not any(map(_failure, lines))

    def measured(self, row: str, decision: str = OWN) -> bool:
        """Tell whether the table has measurements of a row."""
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
        """Return a measure by scan, without scans for which it is undefined or not applicable.

        Args:
            row: name of the row.
            metric: name of a column.
            data: names of sets.
            region: region of the reference.
            decision: ``own`` or ``common``.
        """
        selected = (row, decision, region)
        return {
            (line["data"], line["subject"]): float(line[metric])
            for line in self.lines
            if (line["row"], line["decision"], line["region"]) == selected
            and line["data"] in data
            and line.get(metric, NOTHING) not in (NOTHING, "nan")
        }

    def failures(self) -> list[tuple[str, str, str, str]]:
        """List row, set, subject and reason of the failures."""
        return [
            (line["row"], line["data"], line["subject"], _failure(line))
            for line in self.lines
            if _failure(line)
        ]


def replace_lines(
    folder: Path, key: ScoreKey, new_lines: Sequence[Mapping[str, Any]], edges_ml: Sequence[float]
) -> None:
    """Replace the lines of a row, decision and set in ``scans.tsv``."""
    path = folder / COMPARISON_SCANS
    kept = [line for line in read_tsv(path) if _key(line) != key]
    origin = dict(zip(KEY_COLUMNS, key, strict=True))
    names = (*KEY_COLUMNS, "region", "subject", *METRICS, *columns(edges_ml))
    names = (*names, "failed", "fingerprint")
    lines = sorted([*kept, *({**origin, **line} for line in new_lines)], key=_key)
    write_table(path, [{name: line.get(name) for name in names} for line in lines])


def replace_row(folder: Path, new_line: Mapping[str, Any]) -> None:
    """Replace the line of a row in ``rows.tsv``."""
    path = folder / COMPARISON_ROWS
    kept = [line for line in read_tsv(path) if line["row"] != new_line["row"]]
    lines = sorted([*kept, new_line], key=lambda line: str(line["row"]))
    write_table(path, [{name: line.get(name) for name in ROW_COLUMNS} for line in lines])


def rename_size(folder: Path, row: str, size: str) -> None:
    """Update the name of the size of a row that was not measured again."""
    for line in read_tsv(folder / COMPARISON_ROWS):
        if line["row"] == row and line["size"] != (size or NOTHING):
            replace_row(folder, {**line, "size": size})


def _key(line: Mapping[str, Any]) -> ScoreKey:
    return line["row"], line["decision"], line["data"]


def _failure(line: Mapping[str, str]) -> str:
    reason = line.get("failed", NOTHING)
    return "" if reason == NOTHING else reason
