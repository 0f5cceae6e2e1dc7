"""Thresholds and false-positive volumes of a model, fitted on scans that it is not judged on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.detector import Detector, MapModel
from anomri.evaluation import false_positive_ml
from anomri.files import (
    CODES,
    MAP_THRESHOLDS,
    THRESHOLDS,
    read_thresholds,
    replacing_together,
    write_text,
)
from anomri.models import Reconstructor
from anomri.postprocessing import (
    FALSE_POSITIVE_RULE,
    SCAN_RULES,
    TO_BE_FITTED,
    WITHOUT_THRESHOLD,
    FalsePositiveCalibration,
    ThresholdFits,
    threshold_of_scan,
)
from anomri.recipe import ByMap
from anomri.scan import AnomalyMap, FalsePositiveVolume, Scan, Threshold
from anomri.scoring import SliceFits, encode_slices, slice_scores

Indices = NDArray[np.intp]
Maps = Mapping[str, AnomalyMap]
ByRule = dict[str, Threshold]


class Calibration:
    """What a model marks on healthy tissue, and the thresholds that keep that to a volume.

    A model of one map learns the thresholds of all rules from every scan, and looks at each a
    second time with thresholds that it had no part in. Several maps keep their thresholds: one
    factor moves them all, and the lowest factor is taken from which upwards the mean volume is
    allowed; see :mod:`anomri.postprocessing.false_positive_calibration`.

    Args:
        detector: the model; slice scores empty nothing here.
        false_positive_ml: volume allowed on healthy tissue, in ml per scan.
    """

    def __init__(self, detector: Detector, *, false_positive_ml: float = 5.0) -> None:
        self._detector = _with_all_slices(detector)
        self._allowed = false_positive_ml
        self._measured: dict[str, list[float]] = defaultdict(list)  # ml by rule
        self._own: dict[str, list[Threshold]] = defaultdict(list)  # thresholds that need no fit
        self._factor: FalsePositiveCalibration | None = None
        self._fits = None if detector.steps else _MapFits(self._detector.first, false_positive_ml)

    def add(self, scan: Scan, healthy: Indices) -> None:
        """Learn from one scan.

        Args:
            scan: with the model's contrasts, and perhaps others.
            healthy: (n,) ascending numbers of the axial slices to learn from; may be empty.
        """
        if self._fits is None:
            self.measure(scan)
        else:
            self._fits.add(scan, healthy)

    @property
    def looks_twice(self) -> bool:
        """Whether scans are measured once all were added; several maps are measured at once."""
        return self._fits is not None

    def measure(self, scan: Scan) -> None:
        """Measure what is marked on the healthy tissue of a scan, with thresholds of others."""
        if scan.lesions_unknown:
            return
        available = self._detector.available(scan.contrasts)
        maps = self._detector.maps(scan.select(available))
        lesions = scan.lesions

        def marked_ml(scale: float = 1.0, **chosen: Any) -> float:
            mask = self._detector.segment(maps, scale=scale, **chosen).mask
            return false_positive_ml(mask, lesions, scan.grid.voxel_ml)

        for rule, threshold in self._thresholds_for(scan, maps).items():
            chosen = None if self._fits is None else {self._detector.first_name: threshold}
            self._measured[rule].append(marked_ml(thresholds=chosen))
        factor, base = self._calibration_of_factor()
        if factor:
            factor.add(scan.subject, lambda scale: marked_ml(scale, thresholds=base))

    def _thresholds_for(self, scan: Scan, maps: Maps) -> ByRule:
        """Return the first map's thresholds that the scan had no part in, by rule."""
        first = self._detector.first
        anomaly = maps[self._detector.first_name]
        thresholds = {} if self._fits is None else self._fits.thresholds_without(scan.subject)
        rule = first.recipe.detection.threshold
        if rule.name in SCAN_RULES:
            own = threshold_of_scan(anomaly, rule)
        elif self._fits is None:
            own = first.rule.threshold(anomaly)
        else:
            return thresholds
        if scan.subject not in own.fitted_on:
            self._own[own.rule].append(own)
            thresholds[own.rule] = own
        return thresholds

    def _calibration_of_factor(
        self,
    ) -> tuple[FalsePositiveCalibration | None, dict[str, Threshold] | None]:
        """Return the calibration of the factor and the thresholds that it multiplies.

        None where a factor means nothing to a map.
        """
        base = None if self._fits is None else self._base_of_single()
        moves = base is not None if self._fits else all(map(_moves, self._models()))
        if moves and self._factor is None:
            self._factor = FalsePositiveCalibration(1.0, false_positive_ml=self._allowed)
        return self._factor, base

    def _base_of_single(self) -> dict[str, Threshold] | None:
        healthy = self._fits.healthy if self._fits else None
        method = self._detector.recipe.detection.decide.name
        if healthy is None or healthy.value <= 0 or method in WITHOUT_THRESHOLD:
            return None
        return {self._detector.first_name: replace(healthy, rule=FALSE_POSITIVE_RULE)}

    def _models(self) -> list[MapModel]:
        return list(self._detector.map_models.values())

    # results

    def thresholds(self) -> ByRule:
        """Return the first map's thresholds with the measured false positives."""
        return self.thresholds_by_map()[self._detector.first_name]

    def thresholds_by_map(self) -> dict[str, ByRule]:
        """Return each map's thresholds by rule; all maps are named."""
        found: dict[str, ByRule] = {name: {} for name in self._detector.map_models}
        factor = self._factor.threshold() if self._factor else None
        for name, value in self._base_values().items():
            if factor:
                found[name][factor.rule] = replace(factor, value=value * factor.value)
        found[self._detector.first_name] |= {
            rule: replace(threshold, false_positives=self._volume(rule))
            for rule, threshold in self._fitted().items()
        }
        return found

    def _base_values(self) -> dict[str, float]:
        """Return the values that the factor multiplies, by map."""
        if self._fits is not None:
            return {name: t.value for name, t in (self._base_of_single() or {}).items()}
        values = {name: model.rule.fixed_value for name, model in self._detector.map_models.items()}
        return {name: value for name, value in values.items() if value is not None}

    def _fitted(self) -> ByRule:
        fitted = {} if self._fits is None else self._fits.thresholds()
        for rule, own in self._own.items():
            value = float(np.mean([threshold.value for threshold in own]))
            known = own[0] if self._fits is None else Threshold(value=value, rule=rule)
            fitted[rule] = replace(known, value=value)
        return fitted

    def _volume(self, rule: str) -> FalsePositiveVolume | None:
        volumes = self._measured.get(rule)
        return FalsePositiveVolume.of(volumes) if volumes else None

    def save(self, run: Path) -> ByRule:
        """Write what was fitted into a run folder that holds the model; return its thresholds.

        What was fitted to a single map there before stays where this calibration had nothing to fit
        it on, but for the threshold of the whole segmentation: another volume may be allowed now.
        """
        if self._fits is None:
            write_map_thresholds(run, self.thresholds_by_map())
            return self.thresholds()
        fresh = self.thresholds() | self._fits.slices.thresholds()
        before = read_thresholds(run / THRESHOLDS)
        if "healthy" in fresh:
            before.pop(FALSE_POSITIVE_RULE, None)
        # New ones first, so that the order, and with it the fingerprint of the model, does not
        # depend on whether there was a calibration before.
        fitted = fresh | {rule: t for rule, t in before.items() if rule not in fresh}
        statistics = self._fits.slices.statistics()
        # Together: thresholds of distances are meaningless with other statistics.
        with replacing_together(run) as draft:
            if statistics is not None:
                statistics.save(draft / CODES)
            write_text(draft / THRESHOLDS, _json(fitted))
        return fitted


class _MapFits:
    """Thresholds of all rules of one map, and of its slice scores, in the making."""

    def __init__(self, model: MapModel, false_positive_ml: float) -> None:
        self._model = model
        rule = model.recipe.detection.threshold
        candidates: Any = rule.options.get("candidates", ()) if rule.name == "labelled" else ()
        self._maps = ThresholdFits(false_positive_ml=false_positive_ml, candidates=candidates)
        self._healthy: Threshold | None = None
        self.slices = SliceFits(model.recipe.detection.slice_deviations)

    def add(self, scan: Scan, healthy: Indices) -> None:
        recipe = self._model.recipe
        scan = scan.select(recipe.contrasts, recipe.optional)
        anomaly = self._model.score(scan)
        self._maps.add(anomaly)
        latents, network = None, self._model.networks[0]
        if healthy.size and isinstance(network, Reconstructor):
            encoded = encode_slices(network, scan, device=self._model.device)
            latents = None if encoded is None else encoded[1][np.isin(encoded[0], healthy)]
        self.slices.add(scan.subject, slice_scores(anomaly)[healthy], latents)

    @property
    def healthy(self) -> Threshold | None:
        """The threshold of the cut alone that keeps to the volume."""
        if self._healthy is None:
            self._healthy = self._maps.thresholds().get("healthy")
        return self._healthy

    def thresholds(self) -> ByRule:
        return self._maps.thresholds()

    def thresholds_without(self, subject: str) -> ByRule:
        return self._maps.thresholds_without(subject)


def write_map_thresholds(run: Path, by_map: ByMap) -> None:
    """Write the thresholds of several maps that were fitted together."""
    entries = {name: json.loads(_json(by_rule)) for name, by_rule in by_map.items()}
    write_text(run / MAP_THRESHOLDS, json.dumps(entries, indent=2) + "\n")


def _json(by_rule: Mapping[str, Threshold]) -> str:
    return json.dumps({rule: asdict(t) for rule, t in by_rule.items()}, indent=2) + "\n"


def _moves(model: MapModel) -> bool:
    """Tell whether a factor means something to a map."""
    section = model.recipe.detection
    rules = ("fixed", *TO_BE_FITTED)
    return section.decide.name not in WITHOUT_THRESHOLD and section.threshold.name in rules


def _with_all_slices(detector: Detector) -> Detector:
    models = {
        name: model.with_recipe(model.recipe.with_changes(blank_slices=None))
        for name, model in detector.map_models.items()
    }
    return Detector(models, detector.steps, name=detector.name)
