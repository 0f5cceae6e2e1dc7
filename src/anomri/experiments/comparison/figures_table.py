"""``figures.tsv``: summary of every row, for other programs and the HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from anomri.evaluation import write_table
from anomri.experiments.comparison.definition import Decision, Definition
from anomri.experiments.comparison.measurement import WHOLE
from anomri.experiments.comparison.score_table import Scores
from anomri.experiments.comparison.statistics import Paired, mean_of, paired
from anomri.files import COMPARISON_FIGURES
from anomri.scan import REGIONS


def write_figures(folder: Path, definition: Definition) -> None:
    """Write Dice of every row, decision, set and region, with its paired difference."""
    write_table(folder / COMPARISON_FIGURES, list(figures(definition, Scores.of(folder))))


def figures(definition: Definition, scores: Scores) -> Iterator[dict[str, Any]]:
    """Yield a line per measured set, region, row and decision."""
    for data, sets in definition.sets.items():
        for region in REGIONS:
            for row in definition.rows:
                hidden = row in definition.regions_only and region == WHOLE
                for decision in () if hidden else get_args(Decision):
                    line = _line(definition, scores, (row, decision, region), sets)
                    yield from [{"data": data, **line}] if line else []


def _line(
    definition: Definition,
    scores: Scores,
    measured: tuple[str, str, str],
    sets: Sequence[str],
) -> dict[str, Any]:
    row, decision, region = measured
    values = scores.values(row, "dice", sets, region=region, decision=decision)
    mean = mean_of(values)
    if mean is None:
        return {}
    baseline = definition.baseline if region == WHOLE else definition.regions_baseline
    comparison = paired(values, scores.values(baseline, "dice", sets, region=region))
    (_, scan), lowest = min(values.items(), key=lambda item: item[1])
    line: dict[str, Any] = {
        **{"region": region, "row": row, "decision": decision, "scans": len(values)},
        **{"dice": mean.estimate, "lower": mean.lower, "upper": mean.upper},
        **{"lowest": lowest, "lowest_scan": scan, "compared_with": baseline},
    }
    cells = {} if comparison is None or row == baseline else _difference(comparison)
    empty = dict.fromkeys(("difference", "difference_lower", "difference_upper", "common_scans"))
    return line | empty | cells


def _difference(comparison: Paired) -> dict[str, Any]:
    mean = comparison.difference
    return {
        **{"difference": mean.estimate, "difference_lower": mean.lower},
        **{"difference_upper": mean.upper, "common_scans": comparison.scans},
    }
