"""Threshold-free measures of an anomaly map: how well it ranks lesion above other voxels.

All measures are exact and depend on the order of the values only (they are invariant to
``a * x + b`` with a > 0). They are computed from the sorted values of lesion and other voxels: only
at values of lesion voxels can a measure improve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Mask, Volume

Values = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Ranking measures of one map.

    Attributes:
        auprc: area under the precision-recall curve as average precision, the sum of
            ``(R_n - R_(n-1)) P_n`` over the thresholds; chance level is the lesion's share of the
            brain. NaN without a lesion.
        auroc: share of pairs of a lesion and another voxel in which the lesion's value is higher,
            ties counted half; chance level is 0.5. NaN without lesion or without other voxels.
        oracle_dice: best Dice of any threshold; the threshold is chosen on the evaluated labels, so
            this is an upper bound and never a result.
        oracle_threshold: the mask ``values > oracle_threshold`` has this Dice.
    """

    auprc: float
    auroc: float
    oracle_dice: float
    oracle_threshold: float


def rank(values: Volume, truth: Mask, brain: Mask, *, empty: float = 1.0) -> Ranking:
    """Compute the ranking measures of a map inside the brain.

    Args:
        values: any shape, higher is more abnormal.
        truth: same shape.
        brain: same shape; voxels outside it do not count.
        empty: oracle Dice of a brain without lesion, that of the empty mask.

    Raises:
        ValueError: a value inside the brain is NaN.
    """
    lesion, other = _sorted(values[brain & truth]), _sorted(values[brain & ~truth])
    if not lesion.size:
        highest = float(other[-1]) if other.size else float("nan")
        return Ranking(float("nan"), float("nan"), empty, highest)
    cuts, first = np.unique(lesion, return_index=True)
    true_positives = lesion.size - first
    at_cut = -np.diff(true_positives, append=0)  # lesion voxels whose value equals the cut
    below = np.searchsorted(other, cuts, side="left")
    tied = np.searchsorted(other, cuts, side="right") - below
    marked = true_positives + other.size - below
    dice = 2 * true_positives / (marked + lesion.size)
    best = int(np.argmax(dice))
    pairs = lesion.size * other.size
    return Ranking(
        auprc=float(np.sum(at_cut * true_positives / marked) / lesion.size),
        auroc=float(np.sum(at_cut * (below + tied / 2)) / pairs) if pairs else float("nan"),
        oracle_dice=float(dice[best]),
        oracle_threshold=_just_below(cuts[best], lesion[: first[best]], other[: below[best]]),
    )


def _sorted(values: Values) -> Values:
    ascending = np.sort(values)
    if ascending.size and np.isnan(ascending[-1]):  # NaN is sorted to the end
        raise ValueError("anomaly map: expected a number in every brain voxel, got NaN")
    return ascending


def _just_below(cut: np.floating, *lower: Values) -> float:
    """Return the map's next lower value, so that ``values > result`` includes ``cut``."""
    candidates = [values[-1] for values in lower if values.size]
    return float(max(candidates) if candidates else np.nextafter(cut, -np.inf, dtype=cut.dtype))
