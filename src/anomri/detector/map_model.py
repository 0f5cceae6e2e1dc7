"""One anomaly map of a detector: its recipe, its networks and what was fitted to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anomri.errors import UsageError
from anomri.models import Network, Reconstructor
from anomri.postprocessing import (
    TO_BE_FITTED,
    WITHOUT_THRESHOLD,
    clean,
    nested_labels,
    segment,
    threshold_of_scan,
)
from anomri.recipe import Detection as Section
from anomri.recipe import Recipe, call
from anomri.scan import (
    AnomalyMap,
    DetectionFacts,
    FalsePositiveVolume,
    Labels,
    MapProvenance,
    Mask,
    PreparationFacts,
    Scan,
    Threshold,
    ThresholdFacts,
)
from anomri.scoring import (
    MAHALANOBIS,
    MEAN_RESIDUAL,
    SEGMENTATIONS,
    LatentStatistics,
    empty_healthy_slices,
    latent_distances,
    score_scan,
    slice_scores,
    tumour_map,
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What calibration left in a run folder.

    Attributes:
        thresholds: by rule; those of slice scores by the score's name.
        codes: statistics of the latents of healthy slices.
    """

    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    codes: LatentStatistics | None = None

    def unmeasured(self) -> Fitted:
        """Return the same without the measured false positives."""
        thresholds = {name: replace(t, marked=None) for name, t in self.thresholds.items()}
        return replace(self, thresholds=thresholds)


class MapModel:
    """A recipe, its networks and its thresholds, on a device.

    Args:
        recipe: how a scan becomes a map and the map a mask.
        networks: with their weights; one reconstructor, or segmenters to be averaged.
        fitted: thresholds and statistics from calibration.
        device: where the networks run.
        weights_hash: first 16 hex digits of the weights' SHA-256; empty without weights.
        optional: whether a detector does without the map where its contrasts are missing.
    """

    def __init__(
        self,
        recipe: Recipe,
        networks: Sequence[Network],
        *,
        fitted: Fitted | None = None,
        device: torch.device | None = None,
        weights_hash: str = "",
        optional: bool = False,
    ) -> None:
        self.recipe = recipe
        self.device = device or torch.device("cpu")
        self.networks = [network.to(self.device).eval() for network in networks]
        self.fitted = fitted or Fitted()
        self.weights_hash = weights_hash
        self.optional = optional

    def with_recipe(self, recipe: Recipe) -> MapModel:
        """Return the same networks under another recipe."""
        return MapModel(
            recipe,
            self.networks,
            fitted=self.fitted,
            device=self.device,
            weights_hash=self.weights_hash,
            optional=self.optional,
        )

    @property
    def thresholds(self) -> Mapping[str, Threshold]:
        """Fitted thresholds by rule."""
        return self.fitted.thresholds

    @property
    def required(self) -> frozenset[str]:
        """Contrasts without which there is no map."""
        return frozenset(self.recipe.contrasts) - frozenset(self.recipe.optional)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with recipe, weights and what was fitted."""
        facts = [self.recipe.to_yaml(), self.weights_hash, repr(dict(self.thresholds))]
        facts += [] if self.fitted.codes is None else [self.fitted.codes.digest]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]

    # maps

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the cleaned map: what thresholds are compared with.

        Args:
            scan: prepared, with the recipe's contrasts and perhaps others.
        """
        scan, section = (
            scan.select(self.recipe.contrasts, self.recipe.optional),
            self._section,
        )
        network, probabilities = self.networks[0], None
        if isinstance(network, Reconstructor):
            raw = score_scan(network, scan, section.score, device=self.device)
        else:
            probabilities = call(SEGMENTATIONS, section.score, self.networks, scan, self.device)
            raw = tumour_map(scan, probabilities)
            # Enhancing tumour shows after contrast medium only.
            probabilities = None if scan.lacks_contrast_medium else probabilities
        return replace(
            clean(raw, section.clean),
            shows=(section.shows,) * len(raw.values),
            region_probabilities=probabilities,
            latent_distances=self._latent_distances(scan),
        )

    def _latent_distances(self, scan: Scan) -> NDArray[np.float64] | None:
        network, codes = self.networks[0], self.fitted.codes
        if codes is None or not isinstance(network, Reconstructor):
            return None
        return latent_distances(network, scan, codes, device=self.device)

    # thresholds

    def threshold(self, anomaly: AnomalyMap) -> Threshold:
        """Return the recipe's threshold for a map, fitted before or found in the map itself.

        Raises:
            UsageError: the rule has to be fitted first and has not been.
        """
        rule = self._section.threshold
        if rule.name in TO_BE_FITTED:
            return self._fitted_threshold(rule.name)
        return replace(threshold_of_scan(anomaly, rule), marked=self.expected)

    @property
    def fixed_value(self) -> float | None:
        """The threshold's value where it is the same for every scan; else None."""
        rule = self._section.threshold
        if rule.name in TO_BE_FITTED:
            return self.thresholds[rule.name].value if rule.name in self.thresholds else None
        value = rule.options.get("value")
        return float(value) if isinstance(value, int | float) else None

    @property
    def expected(self) -> FalsePositiveVolume | None:
        """Measured false positives on healthy scans; None where they were not measured."""
        rule = self._section.threshold
        known = self.thresholds.get(rule.name)
        if known is None or rule.options.get("value", known.value) != known.value:
            return None  # another number was written into the recipe since
        return known.marked

    def scales(self, anomaly: AnomalyMap) -> bool:
        """Tell whether a threshold times a factor means another mask."""
        method = self._section.decide.name
        return method not in WITHOUT_THRESHOLD and self.threshold(anomaly).value > 0

    # segmentation and provenance

    def segment(self, anomaly: AnomalyMap, threshold: Threshold) -> Mask:
        """Return the mask of a map, with empty slices where the recipe's slice score says so.

        Raises:
            UsageError: the recipe asks for a slice score that is not there or was not fitted.
        """
        mask = segment(anomaly, threshold, self._section)
        score = self._section.blank_slices
        if score is None:
            return mask
        scores = {MEAN_RESIDUAL: slice_scores(anomaly), MAHALANOBIS: anomaly.latent_distances}
        return empty_healthy_slices(mask, scores[score], self._fitted_threshold(score))

    def regions(self, anomaly: AnomalyMap, mask: Mask, threshold: Threshold) -> Labels | None:
        """Return the regions that a segmenter names inside a mask; None where it cannot."""
        probabilities = anomaly.region_probabilities
        if probabilities is None:
            return None
        return nested_labels(probabilities, threshold.value, mask)

    def provenance(self, name: str, anomaly: AnomalyMap | None = None) -> MapProvenance:
        """Return what a sidecar says about the map.

        Args:
            name: of the map.
            anomaly: of a scan, whose threshold is named; None says nothing of one.
        """
        threshold = None if anomaly is None else self.threshold(anomaly)
        return MapProvenance(
            name=name,
            recipe=self.recipe.name,
            family=self.recipe.family.name,
            weights_sha256=self.weights_hash,
            optional=self.recipe.optional,
            preparation=PreparationFacts.model_validate(self._dumped("preparation")),
            detection=DetectionFacts.model_validate(self._dumped("detection")),
            threshold=threshold and ThresholdFacts(value=threshold.value, rule=threshold.rule),
        )

    def _dumped(self, section: str) -> dict[str, Any]:
        return dict(getattr(self.recipe, section).model_dump(mode="json"))

    def reconstruction_error(self, anomaly: AnomalyMap) -> float | None:
        """Return the mean absolute error in the brain, in prepared intensity units.

        None where nothing is reconstructed: by a segmenter, without a network, in no brain.
        """
        scan, network = anomaly.scan, self.networks[0]
        if not (isinstance(network, Reconstructor) and network.has_parameters and scan.brain.any()):
            return None
        return float(np.abs(scan.image - anomaly.reconstruction)[:, scan.brain].mean())

    @property
    def _section(self) -> Section:
        return self.recipe.detection

    def _fitted_threshold(self, name: str) -> Threshold:
        if name in self.thresholds:
            return self.thresholds[name]
        raise UsageError(
            f"{self.recipe.name}: the threshold rule '{name}' has not been fitted. "
            "Next: run `anomri calibrate` on the run folder, or choose another: "
            "`--threshold robust` for the map, no slice score for slices."
        )
