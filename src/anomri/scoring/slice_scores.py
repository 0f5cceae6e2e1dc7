"""Scores of axial slices, and their thresholds from healthy slices.

Weninger et al., section 4.2, rank slices by the mean residual or by the Mahalanobis distance of
their latents from those of healthy slices. Their residual is reconstruction minus input and low in
tumours; an anomaly map has the opposite sign, so that higher is more abnormal for both scores.

A distance more than two standard deviations above the healthy mean is pathological. For the mean
residual the paper only says that a threshold "can be determined based on exemplary healthy slices";
here it is their mean. With two standard deviations a fiftieth of the healthy slices would remain,
but at a ROC-AUC of 0.835, as in the paper, only a quarter of those with tumour: too few for its
section 5.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomri.errors import UsageError
from anomri.scan import AnomalyMap, Mask, Threshold
from anomri.scoring.latent_distance import Latents, LatentStatistics

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
    """Thresholds of the slice scores, and statistics of healthy latents.

    Healthy slices are added scan by scan. Their latents are kept until the end, because distances
    depend on the statistics of all slices: four bytes per dimension, of which a slice has 64
    (``vae1px``) to some thousand, and 160 000 for ``vqvae`` at its full size.

    Args:
        deviations: standard deviations of the thresholds above the mean; by default those of
            ``DEVIATIONS``.
    """

    def __init__(self, deviations: float | None = None) -> None:
        self._deviations = deviations
        self._subjects: list[str] = []
        self._scores: list[Scores] = []
        self._latents: list[Latents] = []

    def add(self, subject: str, scores: Scores, latents: Latents | None = None) -> None:
        """Add the healthy slices of one scan.

        Args:
            subject: name of the subject.
            scores: (n,) mean residual of each slice.
            latents: (n, D) latents of the same slices; None for a model without latents.
        """
        if not scores.size:
            return
        self._subjects.append(subject)
        self._scores.append(scores)
        if latents is not None:
            self._latents.append(latents)

    def statistics(self) -> LatentStatistics | None:
        """Return the statistics of the latents; None for a model without latents."""
        if not self._latents:
            return None
        return LatentStatistics.of(np.concatenate(self._latents), self._names())

    def thresholds(self) -> dict[str, Threshold]:
        """Return the thresholds by the name of the score."""
        scores = {MEAN_RESIDUAL: self._scores}
        statistics = self.statistics()
        if statistics is not None:
            scores[MAHALANOBIS] = [statistics.distances(latents) for latents in self._latents]
        return {
            name: self._threshold(np.concatenate(scan_scores), name)
            for name, scan_scores in scores.items()
            if scan_scores
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
            f"the slice score '{threshold.rule}' needs a family with latents of slices. "
            "Next: choose `mean_residual`."
        )
    return mask & (scores > threshold.value)
