"""One number per axial slice, and from which number on a slice is not healthy.

Weninger et al., section 4.2, rank slices by the mean of the residual or by the Mahalanobis distance
of their code from those of healthy slices. Their residual is reconstruction minus input and low in
tumours; an anomaly map is the negation, so that here, as in their words, the threshold is a maximum
for both. A code more than two standard deviations off the healthy mean is pathological; for the
mean residual they say no more than that a threshold "can be determined based on exemplary healthy
slices". Ours is the mean of these. Two standard deviations above it leave a fiftieth of the healthy
slices, and with a ROC-AUC of 0.835, as theirs, but a quarter of those with tumour: too few for
their section 5.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomri.errors import UsageError
from anomri.scan import AnomalyMap, Mask, Threshold
from anomri.scoring.latent_distance import Codes, CodeStatistics

Scores = NDArray[np.float64]

MEAN_RESIDUAL, MAHALANOBIS = "mean_residual", "mahalanobis"
# Standard deviations above the mean of healthy slices.
DEVIATIONS = {MEAN_RESIDUAL: 0.0, MAHALANOBIS: 2.0}


def slice_scores(anomaly: AnomalyMap) -> Scores:
    """Return the (K,) mean map value over the brain of each axial slice and all contrasts.

    A slice without brain scores 0. Weninger et al. (section 4) rank slices by this mean.
    """
    inside = np.where(anomaly.brain, anomaly.values, 0)
    sums = inside.sum(axis=(0, 1, 2), dtype=np.float64)
    voxels = np.count_nonzero(anomaly.brain, axis=(0, 1)) * len(anomaly.values)
    scores: Scores = np.divide(sums, voxels, out=np.zeros_like(sums), where=voxels > 0)
    return scores


class SliceFits:
    """Thresholds of the slice scores, and what codes of healthy slices look like.

    Healthy slices are added scan by scan. Their codes are kept until the end, because distances
    can only be told once all are known: four bytes for each of the code's numbers, which are 64
    (``vae1px``) to some thousand per slice, and 160 000 for ``vqvae`` at its full size.

    Args:
        deviations: how many standard deviations above the mean each threshold lies; None is the
            score's own number.
    """

    def __init__(self, deviations: float | None = None) -> None:
        self._deviations = deviations
        self._subjects: list[str] = []
        self._scores: list[Scores] = []
        self._codes: list[Codes] = []

    def add(self, subject: str, scores: Scores, codes: Codes | None = None) -> None:
        """Learn from the healthy slices of one scan.

        Args:
            subject: whose slices they are.
            scores: (n,) mean residual of each.
            codes: (n, D) of the same slices; None where the model has none.
        """
        if not scores.size:
            return
        self._subjects.append(subject)
        self._scores.append(scores)
        if codes is not None:
            self._codes.append(codes)

    def statistics(self) -> CodeStatistics | None:
        """Return mean and variance of the codes; None where there were none."""
        if not self._codes:
            return None
        return CodeStatistics.of(np.concatenate(self._codes), self._names())

    def thresholds(self) -> dict[str, Threshold]:
        """Return the threshold of each score that there was, by its name."""
        scores = {MEAN_RESIDUAL: self._scores}
        statistics = self.statistics()
        if statistics is not None:
            scores[MAHALANOBIS] = [statistics.distances(codes) for codes in self._codes]
        return {
            name: self._threshold(np.concatenate(parts), name)
            for name, parts in scores.items()
            if parts
        }

    def _threshold(self, scores: Scores, name: str) -> Threshold:
        deviations = DEVIATIONS[name] if self._deviations is None else self._deviations
        value = float(scores.mean() + deviations * scores.std())
        return Threshold(value=value, rule=f"healthy slices, {name}", fitted_on=self._names())

    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._subjects))


def empty_healthy_slices(
    mask: Mask, scores: NDArray[np.float64] | None, threshold: Threshold
) -> Mask:
    """Return a copy of the mask, empty in the axial slices whose score is not above the threshold.

    Args:
        mask: (I, J, K).
        scores: (K,), NaN where there is none; None where the model has no such score.
        threshold: fitted to healthy slices.

    Raises:
        UsageError: the model has no such score.
    """
    if scores is None:
        raise UsageError(
            f"the slice score '{threshold.rule}' needs a family with codes of slices. "
            "Next: choose `mean_residual`."
        )
    return mask & (scores > threshold.value)
