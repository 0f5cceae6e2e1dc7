"""Coefficients of the logistic regression that rates the findings of a built-in model."""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel, ConfigDict

from anomri.recipe.definition import BUILTIN
from anomri.scan import Provenance


class FindingModel(BaseModel):
    """A logistic regression from features of a finding to the probability that it is real.

    ``benchmarks/finding_probability.py`` fits it to training scans and writes its file, which lies
    beside the model's recipe.

    Attributes:
        segmentation: steps of the model whose findings it was fitted to, in order.
        threshold: of the model's first map.
        intercept: log odds of a finding whose features are all 0.
        coefficients: log odds per unit of each feature, a name of
            :data:`anomri.postprocessing.FINDING_FEATURES`.
        scans: number of scans that it was fitted to.
        findings: number of findings in them.
        real: number of those that are real.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segmentation: tuple[str, ...]
    threshold: float
    intercept: float
    coefficients: dict[str, float]
    scans: int
    findings: int
    real: int

    def holds_for(self, provenance: Provenance) -> bool:
        """Tell whether a result was made by the steps and with the threshold it was fitted to."""
        used = provenance.first.threshold
        steps = tuple(step.name for step in provenance.segmentation)
        return steps == self.segmentation and used is not None and used.value == self.threshold


@cache
def finding_model(recipe: str) -> FindingModel | None:
    """Return the regression that ships with a built-in model; None where it has none.

    Args:
        recipe: name of the model.
    """
    name = f"{recipe}.findings.json"
    file = next((file for file in BUILTIN.iterdir() if file.name == name), None)
    return None if file is None else FindingModel.model_validate_json(file.read_text("utf-8"))
