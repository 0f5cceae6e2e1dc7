"""What an anomaly map is worth before any threshold: how well it ranks lesion above the rest.

All measures are exact, depend on the order of the values only (``a * x + b`` with a > 0 changes
none), and come from one sort of the lesion's and one of the other voxels: a measure can only
change for the better at a value that some lesion voxel has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Mask, Volume

Values = NDArray[np.floating]
Counts = NDArray[np.float64]

# From which the threshold of a cohort is chosen: 0 and both signs of a grid in steps of 0.2 %.
_ABOVE_0 = np.geomspace(1e-6, 1e6, 13_825)
CUTS = np.concatenate([-_ABOVE_0[::-1], np.zeros(1), _ABOVE_0])


@dataclass(frozen=True, slots=True)
class Ranking:
    """How one map ranks the voxels of one brain.

    Attributes:
        auprc: area under the precision-recall curve as average precision, the sum of
            ``(R_n - R_(n-1)) P_n`` over the thresholds; chance is the lesion's share of the
            brain. NaN without a lesion.
        auroc: share of pairs of a lesion and another voxel in which the lesion's value is higher,
            ties counted half; chance is 0.5. NaN where one of the two is missing.
        oracle_dice: best Dice that any threshold gives; a threshold chosen on the labels that it
            is judged by, so an upper bound and never a result.
        oracle_threshold: a value whose mask ``values > oracle_threshold`` has that Dice.
    """

    auprc: float
    auroc: float
    oracle_dice: float
    oracle_threshold: float


def rank(values: Volume, truth: Mask, brain: Mask, *, empty: float = 1.0) -> Ranking:
    """Judge a map by the order of its values inside the brain.

    Args:
        values: any shape, higher is more abnormal.
        truth: same shape.
        brain: same shape; nothing outside it counts.
        empty: the best Dice of a brain without lesion, that of the empty mask.

    Raises:
        ValueError: a value inside the brain is NaN.
    """
    lesion, other = _sorted(values[brain & truth]), _sorted(values[brain & ~truth])
    if not lesion.size:
        highest = float(other[-1]) if other.size else float("nan")
        return Ranking(float("nan"), float("nan"), empty, highest)
    cuts, first = np.unique(lesion, return_index=True)
    hits = lesion.size - first
    gained = -np.diff(hits, append=0)  # lesion voxels that have exactly the cut's value
    below = np.searchsorted(other, cuts, side="left")
    tied = np.searchsorted(other, cuts, side="right") - below
    marked = hits + other.size - below
    dice = 2 * hits / (marked + lesion.size)
    best = int(np.argmax(dice))
    pairs = lesion.size * other.size
    return Ranking(
        auprc=float(np.sum(gained * hits / marked) / lesion.size),
        auroc=float(np.sum(gained * (below + tied / 2)) / pairs) if pairs else float("nan"),
        oracle_dice=float(dice[best]),
        oracle_threshold=_just_below(cuts[best], lesion[: first[best]], other[: below[best]]),
    )


class CohortOracle:
    """The one threshold for all cases that gives the best mean Dice, chosen on their own labels.

    Cases are added one by one and none is kept: memory is that of one Dice per cut. Each Dice is
    exact; the cuts are so close that no other threshold would be noticeably better.

    Args:
        cuts: ascending thresholds to choose from.
        empty: Dice of a case without lesion in which nothing is marked.
    """

    def __init__(self, *, cuts: NDArray[np.float64] = CUTS, empty: float = 1.0) -> None:
        self._cuts = cuts
        self._empty = empty
        self._sum = np.zeros(cuts.size)
        self._cases = 0

    def add(self, values: Volume, truth: Mask, brain: Mask) -> None:
        """Count in one case; arguments as for :func:`rank`."""
        lesion, other = _sorted(values[brain & truth]), _sorted(values[brain & ~truth])
        hits = _above(lesion, self._cuts)
        both = hits + _above(other, self._cuts) + lesion.size
        empty = np.full(self._cuts.size, self._empty)
        self._sum += np.divide(2 * hits, both, out=empty, where=both > 0)
        self._cases += 1

    def best(self) -> tuple[float, float]:
        """Return the threshold and its mean Dice; NaN without cases.

        Where several cuts are equally good it is the middle one.
        """
        if not self._cases:
            return float("nan"), float("nan")
        best = np.flatnonzero(self._sum == self._sum.max())
        chosen = best[best.size // 2]
        return float(self._cuts[chosen]), float(self._sum[chosen] / self._cases)


def _sorted(values: Values) -> Values:
    ascending = np.sort(values)
    if ascending.size and np.isnan(ascending[-1]):  # NaN is sorted to the end
        raise ValueError("anomaly map: expected a number in every brain voxel, got NaN")
    return ascending


def _above(ascending: Values, cuts: NDArray[np.float64]) -> Counts:
    at_most = np.searchsorted(ascending, cuts, side="right")
    return (ascending.size - at_most).astype(np.float64)


def _just_below(cut: np.floating, *lower: Values) -> float:
    """Return the next lower value of the map, so that ``values > it`` starts at ``cut``."""
    candidates = [values[-1] for values in lower if values.size]
    return float(max(candidates) if candidates else np.nextafter(cut, -np.inf, dtype=cut.dtype))
