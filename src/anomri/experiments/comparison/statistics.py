"""What the figures of scans come to: means, paired differences, lesions by volume.

Every figure that compares two rows is over the scans that both have.
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
"""Scans, before an interval is taken for more than luck. That of a bootstrap is too narrow for few:
it leaves zero out whenever all scans agree, which four do by chance one time in eight."""
STATISTICS: Mapping[str, Callable[..., Any]] = {
    "mean": np.mean,
    "median": np.median,
    "lowest": np.min,
}


@dataclass(frozen=True, slots=True)
class Paired:
    """A row against another over the scans that both have.

    Attributes:
        difference: its mean, first minus second, with its interval.
        scans: that both have.
        left_out: scans that one of them has alone.
    """

    difference: Interval
    scans: int
    left_out: int

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves zero out, else 0; 0 for fewer scans than FEWEST."""
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
    """Compare two rows over their common scans; None where there is none."""
    common = [scan for scan in first if scan in second]
    if not common:
        return None
    difference = paired_difference([first[s] for s in common], [second[s] for s in common])
    return Paired(difference, len(common), len(set(first) ^ set(second)))


def found_of(
    scores: Scores, row: str, data: Sequence[str], edges_ml: Sequence[float]
) -> list[tuple[int, int]]:
    """Return lesions and those found in each class of volume, over all scans of some sets."""

    def total(column: str) -> int:
        return round(sum(scores.values(row, column, data).values()))

    return [(total(f"lesions_{name}"), total(f"found_{name}")) for name in classes(edges_ml)]


def figure_for(
    aim: Aim, scores: Scores, row: str, sets: Mapping[str, Sequence[str]], decision: str = OWN
) -> float:
    """Return a row's figure for an aim; NaN where it is not measured."""
    data = sets[aim.data]
    values = scores.values(row, aim.metric, data, region=aim.region, decision=decision)
    return float(STATISTICS[aim.statistic](list(values.values()))) if values else float("nan")


def reached(aim: Aim, figure: float) -> bool:
    """Tell whether a figure is on the right side of an aim's bound."""
    return figure <= aim.bound if aim.below else figure >= aim.bound
