"""Precision-recall and ROC curves of one case at few points, equal in sensitivity for all cases.

Equal steps of sensitivity let the curves of several cases be averaged point by point.
"""

from __future__ import annotations

import numpy as np

from anomri.scan import Mask, Volume

STEPS = 40


def curve_points(
    values: Volume, truth: Mask | None, brain: Mask, *, steps: int = STEPS
) -> list[dict[str, float]]:
    """Return the map's thresholds that find 1/steps, 2/steps, ... of the lesion's voxels.

    Args:
        values: any shape, higher is more abnormal.
        truth: same shape; None where there is no lesion.
        brain: same shape; lesion outside it is ranked lowest, as in :func:`case_metrics`, and
            nothing else outside it counts.
        steps: points of the curve.

    Returns:
        Rows with ``threshold`` (the mask is ``values >= threshold``), ``sensitivity``,
        ``precision`` and ``false_positive_rate``; none without a lesion or without other voxels.
        With ties a threshold finds more than its share; its row says how much.
    """
    if truth is None or not truth.any() or not (brain & ~truth).any():
        return []
    ranked = np.where(brain, values, values[brain].min())
    lesion, other = np.sort(ranked[truth]), np.sort(ranked[brain & ~truth])
    wanted = -(-np.arange(1, steps + 1) * lesion.size // steps)  # rounded up, in whole numbers
    cuts = lesion[lesion.size - wanted]
    hits = lesion.size - np.searchsorted(lesion, cuts, side="left")
    alarms = other.size - np.searchsorted(other, cuts, side="left")
    columns = {
        "threshold": cuts,
        "sensitivity": hits / lesion.size,
        "precision": hits / (hits + alarms),
        "false_positive_rate": alarms / other.size,
    }
    return [
        {name: float(column[step]) for name, column in columns.items()} for step in range(steps)
    ]
