"""One number per axial slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomri.scan import AnomalyMap


def slice_scores(anomaly: AnomalyMap) -> NDArray[np.float64]:
    """Return the (K,) mean map value over the brain of each axial slice and all contrasts.

    A slice without brain scores 0. Weninger et al. (section 4) rank slices by this mean.
    """
    inside = np.where(anomaly.brain, anomaly.values, 0)
    sums = inside.sum(axis=(0, 1, 2), dtype=np.float64)
    voxels = np.count_nonzero(anomaly.brain, axis=(0, 1)) * len(anomaly.values)
    scores: NDArray[np.float64] = np.divide(sums, voxels, out=np.zeros_like(sums), where=voxels > 0)
    return scores
