"""One anomaly map of a detector: its recipe, its networks and what was fitted to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from anomri.models import Network, Reconstructor
from anomri.postprocessing import (
    WITHOUT_THRESHOLD,
    Segmentation,
    ThresholdRule,
    clean,
    nested_labels,
    segment,
)
from anomri.recipe import Detection as Section
from anomri.recipe import Recipe, call
from anomri.scan import AnomalyMap, Scan, Threshold
from anomri.scoring import (
    MAHALANOBIS,
    MEAN_RESIDUAL,
    SEGMENTATIONS,
    Fitted,
    empty_healthy_slices,
    latent_distances,
    score_scan,
    slice_scores,
    tumour_map,
)


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

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change with recipe, weights and what was fitted."""
        facts = [self.recipe.to_yaml(), self.weights_hash, repr(dict(self.thresholds))]
        facts += [] if self.fitted.latents is None else [self.fitted.latents.digest]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the cleaned map: what thresholds are compared with.

        Args:
            scan: prepared, with the recipe's contrasts and perhaps others.
        """
        scan = scan.select(self.recipe.contrasts, self.recipe.optional)
        section, network, probabilities = self._section, self.networks[0], None
        if isinstance(network, Reconstructor):
            raw = score_scan(network, scan, section.score, device=self.device)
        else:
            probabilities = call(SEGMENTATIONS, section.score, self.networks, scan, self.device)
            raw = tumour_map(scan, probabilities, section.score.name)
            # Enhancing tumour shows after contrast medium only.
            if len(probabilities) == 1 or scan.lacks_contrast_medium:
                probabilities = None
        cleaned = clean(raw, section.clean)
        return replace(
            cleaned,
            shows=(section.shows,) * len(cleaned.values),
            region_probabilities=probabilities,
            latent_distances=self._latent_distances(scan),
        )

    def _latent_distances(self, scan: Scan) -> NDArray[np.float64] | None:
        network, statistics = self.networks[0], self.fitted.latents
        if statistics is None or not isinstance(network, Reconstructor):
            return None
        return latent_distances(network, scan, statistics, device=self.device)

    @property
    def rule(self) -> ThresholdRule:
        """The recipe's threshold rule, with what was fitted to it."""
        return ThresholdRule(self._section.threshold, self.thresholds, self.recipe.name)

    def scales(self, threshold: Threshold) -> bool:
        """Tell whether a threshold times a factor means another mask."""
        return self._section.decide.name not in WITHOUT_THRESHOLD and threshold.value > 0

    def segment(self, anomaly: AnomalyMap, threshold: Threshold) -> Segmentation:
        """Segment a map; a segmenter names regions too, where contrast medium shows them.

        Raises:
            UsageError: the recipe asks for a slice score that is not there or was not fitted.
        """
        made = segment(anomaly, threshold, self._section)
        mask, score = made.lesion, self._section.blank_slices
        if score is not None:
            scores = {MEAN_RESIDUAL: slice_scores(anomaly), MAHALANOBIS: anomaly.latent_distances}
            mask = empty_healthy_slices(mask, scores[score], self.rule.fitted_to(score))
        given, level = anomaly.region_probabilities, threshold.value
        regions = None if given is None else nested_labels(given, level, mask)
        return Segmentation(mask, regions, margin=made.margin)

    @property
    def _section(self) -> Section:
        return self.recipe.detection
