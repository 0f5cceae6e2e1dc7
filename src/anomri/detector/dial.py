"""What a model marks as all its thresholds, and those of the models with it, move by one factor."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from anomri.detector.beside import labels_of
from anomri.detector.model import Detector
from anomri.postprocessing import decide, largest_inscribed_radius_mm
from anomri.scan import AnomalyMap, Mask, Scan, Threshold


class Dial:
    """One scan and one model. Maps are made once, the first time that they are asked for.

    Args:
        detector: with the models beside it.
        scan: prepared, with the contrasts of all of them or without the optional ones.
    """

    def __init__(self, detector: Detector, scan: Scan) -> None:
        self._detector = detector
        self._scan = scan

    @cached_property
    def anomaly(self) -> AnomalyMap:
        """The cleaned map of the model itself."""
        return self._detector.score(self._scan)

    @cached_property
    def threshold(self) -> Threshold:
        """The model's own threshold on this scan."""
        return self._detector.threshold(self.anomaly)

    @cached_property
    def _beside(self) -> Dial | None:
        beside = self._detector.beside_for(self._scan)
        return Dial(beside, self._scan) if beside else None

    @cached_property
    def _small(self) -> Dial | None:
        small = self._detector.small
        return Dial(small, self._scan) if small else None

    def mask(self, factor: float = 1.0) -> Mask:
        """Return the mask that ``detect_scan`` would write with every threshold times ``factor``.

        Slice scores empty nothing here.
        """
        whole = self._whole(factor)
        if self._beside is None:
            return whole
        maps = self.anomaly, self._beside.anomaly
        masks = whole, self._beside.mask(factor)
        mask: Mask = labels_of(maps, masks, self._detector.recipe.detection.regions).labels > 0
        return mask

    def _whole(self, factor: float) -> Mask:
        section = self._detector.recipe.detection
        moved = replace(self.threshold, value=self.threshold.value * factor)
        mask = decide(self.anomaly, moved, section)
        if (
            self._small
            and largest_inscribed_radius_mm(mask, self._scan.grid.spacing) < section.mass_mm
        ):
            return mask | self._small.mask(factor)
        return mask
