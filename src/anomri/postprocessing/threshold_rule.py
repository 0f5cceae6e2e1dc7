"""The threshold rule of a model, with what calibration fitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from anomri.errors import UsageError
from anomri.postprocessing.steps import TO_BE_FITTED, threshold_of_scan
from anomri.recipe import Step
from anomri.scan import AnomalyMap, FalsePositiveVolume, Threshold


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """A recipe's rule, and the fitted thresholds.

    Attributes:
        rule: of the recipe.
        fitted: thresholds by rule; those of slice scores by the score's name.
        model: its name, for errors.
    """

    rule: Step
    fitted: Mapping[str, Threshold]
    model: str

    def threshold(self, anomaly: AnomalyMap) -> Threshold:
        """Return the threshold of a map, fitted before or computed from the map itself.

        Raises:
            UsageError: the rule has to be fitted first and has not been.
        """
        if self.rule.name in TO_BE_FITTED:
            return self.fitted_to(self.rule.name)
        return replace(threshold_of_scan(anomaly, self.rule), false_positives=self.expected)

    def fitted_to(self, name: str) -> Threshold:
        """Return the fitted threshold of a rule or a slice score.

        Raises:
            UsageError: it has not been fitted.
        """
        if name in self.fitted:
            return self.fitted[name]
        raise UsageError(
            f"{self.model}: the threshold rule '{name}' has not been fitted. "
            "Next: run `anomri calibrate` on the run folder, or choose another: "
            "`--threshold robust` for the map, no slice score for slices."
        )

    @property
    def fixed_value(self) -> float | None:
        """The threshold's value where it is the same for every scan; else None."""
        if self.rule.name in TO_BE_FITTED:
            known = self.fitted.get(self.rule.name)
            return None if known is None else known.value
        value = self.rule.options.get("value")
        return float(value) if isinstance(value, int | float) else None

    @property
    def expected(self) -> FalsePositiveVolume | None:
        """Measured false positives on healthy scans; None where they were not measured."""
        known = self.fitted.get(self.rule.name)
        if known is None or self.rule.options.get("value", known.value) != known.value:
            return None  # another number was written into the recipe since
        return known.false_positives
