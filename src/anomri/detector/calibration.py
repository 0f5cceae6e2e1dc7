"""Fitting what a model needs to know of scans that it is not judged on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.detector.loading import CODES, THRESHOLDS, load_thresholds
from anomri.detector.model import Detector
from anomri.evaluation import false_positive_ml
from anomri.family import Family
from anomri.files import replacing_together, write_text
from anomri.postprocessing import (
    DECIDED,
    SCAN_RULES,
    WITHOUT_THRESHOLD,
    DecidedFit,
    ThresholdFits,
    decide,
    threshold_of_scan,
)
from anomri.scan import AnomalyMap, HealthyVolume, Mask, Scan, Threshold
from anomri.scoring import SliceFits, encode_slices, slice_scores

Indices = NDArray[np.intp]


class Calibration:
    """Thresholds of maps and of slice scores, and the statistics of healthy codes, in one pass.

    Args:
        detector: one model; for several that work together see :class:`JointCalibration`.
        false_positive_ml: volume allowed on healthy tissue, in ml per scan.
    """

    def __init__(self, detector: Detector, *, false_positive_ml: float = 5.0) -> None:
        self._detector = detector
        rule = detector.recipe.detection.threshold
        candidates: Any = rule.options.get("candidates", ()) if rule.name == "labelled" else ()
        self._maps = ThresholdFits(false_positive_ml=false_positive_ml, candidates=candidates)
        self._allowed = false_positive_ml
        self._decided: DecidedFit | None = None
        self._marked: dict[str, list[float]] = defaultdict(list)  # ml by rule
        self._own: dict[str, list[float]] = defaultdict(list)  # values of a rule that needs no fit
        self._slices = SliceFits(detector.recipe.detection.slice_deviations)

    def add(self, scan: Scan, healthy: Indices) -> None:
        """Learn from one scan.

        Args:
            scan: with the model's contrasts, and perhaps others.
            healthy: (n,) ascending numbers of the axial slices to learn from; may be empty.
        """
        scan = self._detector.own(scan)
        anomaly = self._detector.score(scan)
        self._maps.add(anomaly)
        codes, network = None, self._detector.networks[0]
        if healthy.size and isinstance(network, Family):
            encoded = encode_slices(network, scan, device=self._detector.device)
            codes = None if encoded is None else encoded[1][np.isin(encoded[0], healthy)]
        self._slices.add(scan.subject, slice_scores(anomaly)[healthy], codes)

    def measure(self, scan: Scan) -> None:
        """Look at a scan again, once all were learnt from, with thresholds that it had no part in.

        What is then marked on its healthy tissue is what a healthy scan has to expect: by the whole
        decision, which may mark more than lies above the threshold, or less.
        """
        if scan.truth is None and scan.healthy is False:
            return  # lesions must be, and nobody knows where
        section = self._detector.recipe.detection
        anomaly = self._detector.score(scan)
        thresholds = self._maps.thresholds_without(scan.subject)
        if section.threshold.name in SCAN_RULES:
            own = threshold_of_scan(anomaly, section.threshold)
            thresholds[own.rule] = own
            self._own[own.rule].append(own.value)
        lesions = _lesions(scan)
        for rule, threshold in thresholds.items():
            mask = decide(anomaly, threshold, section)
            self._marked[rule].append(false_positive_ml(mask, lesions, scan.grid.voxel_ml))
        if decided := self._decided_fit():
            decided.add(scan.subject, self._marked_ml(anomaly, lesions))

    def _marked_ml(self, anomaly: AnomalyMap, lesions: Mask | None) -> Callable[[float], float]:
        section = self._detector.recipe.detection

        def marked_ml(value: float) -> float:
            mask = decide(anomaly, Threshold(value=value, rule=DECIDED), section)
            return false_positive_ml(mask, lesions, anomaly.scan.grid.voxel_ml)

        return marked_ml

    def _decided_fit(self) -> DecidedFit | None:
        """Return the fit around the threshold of the cut alone; None where that is no help."""
        healthy = self._maps.thresholds().get("healthy") if self._decided is None else None
        section = self._detector.recipe.detection
        if healthy and healthy.value > 0 and section.decide.name not in WITHOUT_THRESHOLD:
            self._decided = DecidedFit(healthy.value, false_positive_ml=self._allowed)
        return self._decided

    def thresholds(self) -> dict[str, Threshold]:
        """Return all thresholds of maps, with what was marked on healthy tissue."""
        own = {
            rule: Threshold(value=float(np.mean(values)), rule=rule)
            for rule, values in self._own.items()
        }
        decided = self._decided.threshold() if self._decided else None
        return ({decided.rule: decided} if decided else {}) | {
            rule: replace(threshold, marked=HealthyVolume.of(volumes) if volumes else None)
            for rule, threshold in (self._maps.thresholds() | own).items()
            for volumes in [self._marked.get(rule)]
        }

    def save(self, run: Path) -> dict[str, Threshold]:
        """Write what was fitted into a run folder that holds the model; return its thresholds.

        What was fitted there before stays where this calibration had nothing to fit it on, but
        for the threshold of the whole decision: another volume may be allowed now.
        """
        fresh = self.thresholds() | self._slices.thresholds()
        before = load_thresholds(run)
        if "healthy" in fresh:
            before.pop(DECIDED, None)
        fitted = before | fresh
        statistics = self._slices.statistics()
        entries = {rule: asdict(threshold) for rule, threshold in fitted.items()}
        # Together: a threshold of distances means nothing with other statistics.
        with replacing_together(run) as draft:
            if statistics is not None:
                statistics.save(draft / CODES)
            write_text(draft / THRESHOLDS, json.dumps(entries, indent=2) + "\n")
        return fitted


def _lesions(scan: Scan) -> Mask | None:
    return None if scan.truth is None else scan.truth > 0
