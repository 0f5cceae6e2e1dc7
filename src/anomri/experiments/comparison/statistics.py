"""Statistics of a comparison: means, paired differences, lesions by volume.

All comparisons of two rows are over the scans that both have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomri.evaluation import Interval, bootstrap, paired_difference
from anomri.experiments.comparison.definition import OWN, Aim
from anomri.experiments.comparison.measurement import classes
from anomri.experiments.comparison.score_table import Scores, Values

FEWEST = 5
"""Fewest scans for which a bootstrap interval without zero counts as a difference. For fewer it is
too narrow: it excludes zero whenever all scans agree in sign, which four do by chance one time in
eight."""
STATISTICS: Mapping[str, Callable[..., Any]] = {
    "mean": np.mean,
    "median": np.median,
    "lowest": np.min,
}


@dataclass(frozen=True, slots=True)
class Paired:
    """Paired comparison of two rows.

    Attributes:
        difference: mean difference, first minus second, with its interval.
        scans: number of scans that both have.
        left_out: number of scans that only one of them has.
    """

    difference: Interval
    scans: int
    left_out: int

    @property
    def sign(self) -> int:
        """Sign of an interval that excludes zero, else 0; 0 for fewer than ``FEWEST`` scans."""
        low, high = self.difference.lower, self.difference.upper
        if self.scans < FEWEST:
            return 0
        return int(low > 0) - int(high < 0)


def mean_of(values: Values) -> Interval | None:
    """Return the mean over scans with its bootstrap interval; None without scans."""
    return bootstrap(list(values.values())) if values else None


def median_of(values: Values) -> Interval | None:
    """Return the median over scans with its bootstrap interval; None without scans."""
    return bootstrap(list(values.values()), statistic=np.median) if values else None


def paired(first: Values, second: Values) -> Paired | None:
    """Compare two rows over their common scans; None without common scans."""
    common = [scan for scan in first if scan in second]
    if not common:
        return None
    difference = paired_difference([first[s] for s in common], [second[s] for s in common])
    return Paired(difference, len(common), len(set(first) ^ set(second)))


def lesions_by_volume(
    scores: Scores, row: str, data: Sequence[str], edges_ml: Sequence[float]
) -> list[tuple[int, int]]:
    """Return the numbers of lesions and of detected lesions in each class of volume."""

    def total(column: str) -> int:
        return round(sum(scores.values(row, column, data).values()))

    return [(total(f"lesions_{name}"), total(f"found_{name}")) for name in classes(edges_ml)]


def figure_for(
    aim: Aim, scores: Scores, row: str, sets: Mapping[str, Sequence[str]], decision: str = OWN
) -> float:
    """Return a row's figure for an aim; NaN if it has not been measured."""
    data = sets[aim.data]
    values = scores.values(row, aim.metric, data, region=aim.region, decision=decision)
    return float(STATISTICS[aim.statistic](list(values.values()))) if values else float("nan")


def reached(aim: Aim, figure: float) -> bool:
    """Tell whether a figure reaches an aim."""
    return figure <= aim.bound if aim.below else figure >= aim.bound
