"""What the threshold of the slice score costs and brings, on prepared scans with truth.

For thresholds some standard deviations above the mean of lesion-free slices: the share of slices
with lesion that stay, the share of those without that are emptied, and the mean over scans of slice
Dice (tumour-free slices count 1 where nothing is marked), of the same over the middle 70 mm, and of
volume Dice. Each scan is judged by a threshold of the others. Run it on the training split:
``python benchmarks/slice_score.py RUN PREPARED`` with the folders that ``anomri reproduce`` keeps,
or the name of a model without a network in the place of RUN.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomri.detector import Detector, load
from anomri.evaluation import RankedSlices, pooled_slice_auroc
from anomri.preprocessing import PreparedFolder
from anomri.scan import Mask, Scan
from anomri.scoring import slice_scores
from anomri.training import healthy_slices

DEVIATIONS = (2.0, 1.0, 0.5, 0.0, -0.5, -1.0, -np.inf, np.inf)
SLAB_MM = 70.0

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Slices:
    """Slices of one scan that hold brain: score, voxels marked, lesion and both, and flags."""

    scores: NDArray[np.float64]
    marked: NDArray[np.intp]
    lesion: NDArray[np.intp]
    hits: NDArray[np.intp]
    healthy: Flags
    middle: Flags

    @classmethod
    def of(cls, detector: Detector, scan: Scan) -> Slices:
        """Look at a scan with truth."""
        anomaly = detector.first.score(scan)
        mask = detector.first.segment(anomaly, detector.first.rule.threshold(anomaly)).mask
        truth = (np.asarray(scan.truth) > 0) & scan.brain
        held = np.flatnonzero(scan.brain.any(axis=(0, 1)))
        lesion_free = detector.recipe.training.model_copy(update={"lesions": "drop"})
        learnt = np.array([part.index for part in healthy_slices(scan, lesion_free)], dtype=int)
        distance = np.abs(held - (held[0] + held[-1]) / 2) * scan.grid.spacing[2]

        def count(mask: Mask) -> NDArray[np.intp]:
            return np.asarray(np.count_nonzero(mask, axis=(0, 1)))[held]

        return cls(
            slice_scores(anomaly)[held],
            count(mask),
            count(truth),
            count(mask & truth),
            np.isin(held, learnt),
            distance <= SLAB_MM / 2,
        )

    def measures(self, threshold: float) -> NDArray[np.float64]:
        """Return slice sensitivity and specificity, the two slice Dice, and volume Dice."""
        kept, lesion = self.scores > threshold, self.lesion > 0
        marked, hits = self.marked * kept, self.hits * kept
        total = marked + self.lesion
        dice = np.divide(2 * hits, total, out=np.ones(len(total)), where=total > 0)
        whole = 2 * hits.sum() / max(total.sum(), 1)
        middle = dice[self.middle].mean()
        return np.array([kept[lesion].mean(), 1 - kept[~lesion].mean(), dice.mean(), middle, whole])


def judged(scans: list[Slices], deviations: float) -> NDArray[np.float64]:
    """Return the mean over scans, each under the threshold of the others."""
    found = []
    for number, scan in enumerate(scans):
        others = [one for other, one in enumerate(scans) if other != number]
        healthy = np.concatenate([one.scores[one.healthy] for one in others])
        found.append(scan.measures(float(healthy.mean() + deviations * healthy.std())))
    return np.asarray(np.mean(found, axis=0))


def main(model: str, folder: str) -> None:
    detector, prepared = load(model, device="cpu"), PreparedFolder.open(Path(folder))
    scans = [Slices.of(detector, prepared.load(label)) for label in prepared.labels()]
    auroc = pooled_slice_auroc([RankedSlices(one.scores, one.lesion > 0) for one in scans])
    print(f"{detector.recipe.name}, {len(scans)} scans, slice ROC-AUC {auroc.estimate:.3f}")
    print(f"{'deviations':12}sensitivity specificity slice Dice  of 70 mm volume Dice")
    for deviations in DEVIATIONS:
        name = {-np.inf: "keep all", np.inf: "empty all"}.get(deviations, f"{deviations:g}")
        print(f"{name:12}" + " ".join(f"{value:11.3f}" for value in judged(scans, deviations)))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
