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


def _sorted(values: Values) -> Values:
    ascending = np.sort(values)
    if ascending.size and np.isnan(ascending[-1]):  # NaN is sorted to the end
        raise ValueError("anomaly map: expected a number in every brain voxel, got NaN")
    return ascending


def _just_below(cut: np.floating, *lower: Values) -> float:
    """Return the next lower value of the map, so that ``values > it`` starts at ``cut``."""
    candidates = [values[-1] for values in lower if values.size]
    return float(max(candidates) if candidates else np.nextafter(cut, -np.inf, dtype=cut.dtype))
