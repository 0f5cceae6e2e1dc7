"""Probability that a finding is real: a logistic regression on what is known of the finding.

Its coefficients were fitted to training scans by ``benchmarks/finding_probability.py``, where a
finding is real if at least a tenth of it lies in the reference: ``docs/calibration.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import log10
from typing import Protocol

from scipy.special import expit

from anomri.recipe import FindingModel, finding_model
from anomri.scan import Detection

LOWEST_PEAK = 0.1  # a logarithm needs a positive number


class ListedFinding(Protocol):
    """A finding of a detection or of its sidecar."""

    @property
    def volume_ml(self) -> float:
        """Its volume."""

    @property
    def peak(self) -> float:
        """Highest value of the anomaly map inside it."""

    @property
    def threshold_stability(self) -> float | None:
        """Smallest over largest volume at nearby thresholds; None without thresholds."""


FINDING_FEATURES: Mapping[str, Callable[[ListedFinding], float]] = {
    "log10_volume_ml": lambda finding: log10(finding.volume_ml),
    "log10_peak": lambda finding: log10(max(finding.peak, LOWEST_PEAK)),
    "threshold_stability": lambda finding: finding.threshold_stability or 0.0,
}
"""Features by name; a regression may use some of them."""


def with_probabilities(detection: Detection) -> Detection:
    """Give each finding the probability that it is real, if its model has a regression for it.

    With other thresholds or steps than those that the regression was fitted to there is none.
    """
    model = finding_model(detection.provenance.recipe)
    if model is None or not (detection.nearby and model.holds_for(detection.provenance)):
        return detection
    rated = (
        replace(finding, probability_real=probability_real(finding, model))
        for finding in detection.findings
    )
    return replace(detection, findings=tuple(rated))


def probability_real(finding: ListedFinding, model: FindingModel) -> float:
    """Return the probability that a finding is real, from 0 to 1."""
    weights = model.coefficients.items()
    terms = (weight * FINDING_FEATURES[name](finding) for name, weight in weights)
    return float(expit(model.intercept + sum(terms)))


def coefficients_of(recipe: str) -> list[str]:
    """Return the coefficients of a model's regression as text; none where it has none."""
    model = finding_model(recipe)
    return [] if model is None else [model.model_dump_json()]
