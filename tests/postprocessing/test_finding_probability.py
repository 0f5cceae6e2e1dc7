"""The probability that a finding is real: by hand, and where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anomri.postprocessing import FINDING_FEATURES, coefficients_of, with_probabilities
from anomri.postprocessing.finding_probability import probability_real
from anomri.recipe import FindingModel, finding_model, layout_of
from anomri.scan import AnomalyMap, Detection, Finding, Grid, Provenance, Scan, Threshold

COIN = FindingModel(
    segmentation=("segment",),
    threshold=4.0,
    intercept=0.0,
    coefficients={},
    scans=2,
    findings=2,
    real=1,
)


@pytest.fixture
def shipped() -> FindingModel:
    model = finding_model("default")
    assert model is not None
    return model


def finding(*, ml: float, peak: float = 5.0, stability: float = 0.5) -> Finding:
    return Finding(
        number=1, volume_ml=ml, centre_mm=(0, 0, 0), peak=peak, range_ml=(ml * stability, ml)
    )


def result_of(model: FindingModel, *, recipe: str = "default", threshold: float = 4.0) -> Detection:
    """Return a result of two findings that says it was made by the steps of ``model``."""
    shape = (4, 4, 4)
    grid = Grid(shape=shape, affine=np.eye(4))
    scan = Scan(
        subject="a",
        label="sub-a",
        contrasts=("flair",),
        image=np.ones((1, *shape), np.float32),
        brain=np.ones(shape, bool),
        grid=grid,
        native=grid,
    )
    values = np.ones((1, *shape), np.float32)
    facts = {
        "recipe": recipe,
        "maps": [{"name": "brightness", "threshold": {"value": threshold, "rule": "fixed"}}],
        "segmentation": [{"name": name} for name in model.segmentation],
    }
    return Detection(
        anomaly=AnomalyMap(scan=scan, values=values, reconstruction=values, score="residual"),
        mask=np.ones(shape, bool),
        threshold=Threshold(value=threshold, rule="fixed"),
        slice_scores=np.ones(4),
        scan_score=1.0,
        findings=(finding(ml=30), replace(finding(ml=0.1), number=2)),
        nearby=(np.ones(shape, bool), np.zeros(shape, bool)),
        provenance=Provenance.model_validate(facts),
    )


def test_a_probability_by_hand() -> None:
    """Log odds: -1 + 2 * log10(0.1) + 3 * 0.5 - 1 * log10(10) = -2.5."""
    weights = {"log10_volume_ml": 2.0, "threshold_stability": 3.0, "log10_peak": -1.0}
    model = COIN.model_copy(update={"intercept": -1.0, "coefficients": weights})
    found = finding(ml=0.1, peak=10.0)
    assert probability_real(found, model) == pytest.approx(1 / (1 + np.exp(2.5)))
    assert probability_real(found, COIN) == 0.5


def test_extreme_values_overflow_nowhere(shipped: FindingModel) -> None:
    for sign, expected in ((-1, 0.0), (1, 1.0)):
        model = COIN.model_copy(update={"intercept": sign * 1e4})
        assert probability_real(finding(ml=1), model) == expected
    assert 0 < probability_real(finding(ml=1, peak=-3.0), shipped) < 1  # below the brain's median


def test_the_shipped_regression_is_of_the_shipped_model(shipped: FindingModel) -> None:
    """Whoever changes the steps of `default` fits it again, or there are no probabilities."""
    layout = layout_of("default")
    assert shipped.segmentation == tuple(step.step.name for step in layout.steps)
    first = next(iter(layout.maps.values())).recipe.detection.threshold
    assert first.options == {"value": shipped.threshold}
    assert shipped.coefficients.keys() <= FINDING_FEATURES.keys()
    assert 0 < shipped.real < shipped.findings


def test_large_and_bright_findings_are_more_probable(shipped: FindingModel) -> None:
    doubtful = probability_real(finding(ml=0.1, peak=2.0, stability=0.0), shipped)
    sure = probability_real(finding(ml=50, peak=8.0, stability=0.9), shipped)
    assert 0 < doubtful < 0.6  # more than half of the least probable findings are real
    assert 0.8 < sure < 1


def test_findings_of_the_model_get_it(shipped: FindingModel) -> None:
    larger, smaller = with_probabilities(result_of(shipped)).findings
    assert larger.probability_real is not None
    assert smaller.probability_real is not None
    assert 0 < smaller.probability_real < larger.probability_real < 1
    assert larger.volume_ml == 30


@pytest.mark.parametrize("changes", [{"recipe": "lesions"}, {"threshold": 3.0}])
def test_there_is_none_for_what_it_was_not_fitted_to(
    shipped: FindingModel, changes: dict[str, object]
) -> None:
    result = result_of(shipped, **changes)  # type: ignore[arg-type]
    assert with_probabilities(result) is result


def test_there_is_none_for_other_steps_or_without_nearby_thresholds(shipped: FindingModel) -> None:
    other = shipped.model_copy(update={"segmentation": shipped.segmentation[:-1]})
    for result in (result_of(other), replace(result_of(shipped), nearby=())):
        assert with_probabilities(result) is result


def test_new_coefficients_make_another_model() -> None:
    """Finished scans are computed again when they change."""
    assert coefficients_of("lesions") == []
    assert "log10_volume_ml" in coefficients_of("default")[0]
