"""What calibration leaves in a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from anomri.files import CODES, THRESHOLDS, newest, read_thresholds
from anomri.scan import Threshold
from anomri.scoring.latent_distance import LatentStatistics


@dataclass(frozen=True, slots=True)
class Fitted:
    """Fitted thresholds, and the latents of healthy slices.

    Attributes:
        thresholds: by rule; those of slice scores by the score's name.
        latents: their statistics over healthy slices.
    """

    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    latents: LatentStatistics | None = None

    @classmethod
    def load(cls, run: Path) -> Fitted:
        """Read what was fitted; empty where nothing was.

        Raises:
            DamagedFile: a file does not hold what calibration writes.
        """
        path = newest(run / CODES)
        latents = LatentStatistics.load(path) if path.is_file() else None
        return cls(read_thresholds(run / THRESHOLDS), latents)

    def unmeasured(self) -> Fitted:
        """Return the same without the measured false positives."""
        thresholds = {name: replace(t, false_positives=None) for name, t in self.thresholds.items()}
        return replace(self, thresholds=thresholds)
