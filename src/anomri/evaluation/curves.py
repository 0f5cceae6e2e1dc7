"""Precision-recall and ROC curves of a case at equal steps of sensitivity.

Equal steps allow the curves of several cases to be averaged point by point.
"""

from __future__ import annotations

import numpy as np

from anomri.scan import Mask, Volume

STEPS = 40


def curve_points(
    values: Volume, truth: Mask | None, brain: Mask, *, steps: int = STEPS
) -> list[dict[str, float]]:
    """Return the points of the curves at a sensitivity of 1/steps, 2/steps, ... 1.

    Args:
        values: any shape, higher is more abnormal.
        truth: same shape; None without a lesion.
        brain: same shape; lesion outside it has the lowest rank, as in :func:`case_metrics`, and
            other voxels outside it do not count.
        steps: number of points.

    Returns:
        Rows with ``threshold`` (the mask is ``values >= threshold``), ``sensitivity``,
        ``precision`` and ``false_positive_rate``; none without lesion or without other voxels.
        With ties the sensitivity of a row may be higher than its step.
    """
    if truth is None or not truth.any() or not (brain & ~truth).any():
        return []
    ranked = np.where(brain, values, values[brain].min())
    lesion, other = np.sort(ranked[truth]), np.sort(ranked[brain & ~truth])
    counts = -(-np.arange(1, steps + 1) * lesion.size // steps)  # rounded up, in whole numbers
    cuts = lesion[lesion.size - counts]
    true_positives = lesion.size - np.searchsorted(lesion, cuts, side="left")
    false_positives = other.size - np.searchsorted(other, cuts, side="left")
    columns = {
        "threshold": cuts,
        "sensitivity": true_positives / lesion.size,
        "precision": true_positives / (true_positives + false_positives),
        "false_positive_rate": false_positives / other.size,
    }
    return [
        {name: float(column[step]) for name, column in columns.items()} for step in range(steps)
    ]
