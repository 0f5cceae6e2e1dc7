"""The room's doors, on a round brain with a round lesion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anomri.errors import RecipeError
from anomri.postprocessing import (
    SEGMENTATION_METHODS,
    clean,
    segment,
    threshold_of_scan,
)
from anomri.recipe import Detection, Recipe, Step
from anomri.scan import AnomalyMap, Mask, Scan, Threshold

ERODE = Step(name="erode_brain", options={"mm": 4})
TWO = Threshold(value=2.0, rule="fixed")


@pytest.fixture
def anomaly(ball_scan: Scan) -> AnomalyMap:
    image = ball_scan.image
    return AnomalyMap(scan=ball_scan, values=image, reconstruction=image * 0, score="residual")


def dice(mask: Mask, scan: Scan) -> float:
    assert scan.truth is not None
    truth = scan.truth > 0
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def test_the_intensity_recipe_finds_the_ball(anomaly: AnomalyMap) -> None:
    section = Recipe.load("intensity").detection
    cleaned = clean(anomaly, section.clean)
    mask = segment(cleaned, threshold_of_scan(cleaned, section.threshold), section).lesion
    assert dice(mask, anomaly.scan) > 0.85


@pytest.mark.parametrize("decision", sorted(set(SEGMENTATION_METHODS) - {"hysteresis"}))
def test_every_decision_finds_the_ball(anomaly: AnomalyMap, decision: str) -> None:
    section = Detection(decide=Step(name=decision))
    assert dice(segment(anomaly, TWO, section).lesion, anomaly.scan) > 0.95


def test_clean_keeps_the_scan_and_remembers_the_eroded_brain(anomaly: AnomalyMap) -> None:
    cleaned = clean(anomaly, [ERODE])
    assert cleaned.scan is anomaly.scan
    assert 0 < cleaned.brain.sum() < anomaly.scan.brain.sum()
    np.testing.assert_array_equal(cleaned.values, np.where(cleaned.brain, anomaly.values, 0))
    np.testing.assert_array_equal(clean(cleaned, [ERODE]).brain, clean_twice(anomaly))


def clean_twice(anomaly: AnomalyMap) -> Mask:
    return clean(anomaly, [ERODE, ERODE]).brain


def test_clean_without_steps_blanks_what_is_outside_the_brain(anomaly: AnomalyMap) -> None:
    noisy = replace(anomaly, values=anomaly.values + 1)
    cleaned = clean(noisy, [])
    assert not cleaned.values[0][~anomaly.scan.brain].any()
    np.testing.assert_array_equal(cleaned.brain, anomaly.scan.brain)


def test_clean_treats_each_contrast_on_its_own(anomaly: AnomalyMap) -> None:
    both = replace(anomaly, values=np.concatenate([anomaly.values, 10 * anomaly.values + 3]))
    cleaned = clean(both, [Step(name="standardise")])
    np.testing.assert_allclose(cleaned.values[1], cleaned.values[0], atol=1e-4)


def test_contrasts_are_combined_by_their_maximum(anomaly: AnomalyMap) -> None:
    left, right = anomaly.values.copy(), anomaly.values.copy()
    left[:, :30], right[:, 30:] = 0, 0
    both = replace(anomaly, values=np.concatenate([left, right]))
    np.testing.assert_array_equal(
        segment(both, TWO, Detection()).lesion, segment(anomaly, TWO, Detection()).lesion
    )


def test_refining_may_reach_the_rim_that_the_decision_does_not_see(anomaly: AnomalyMap) -> None:
    scan = anomaly.scan
    bright = replace(anomaly, values=np.where(scan.brain, np.float32(5), 0)[None])
    half = scan.brain.copy()
    half[:, :, 22] = False  # a gap in what the decision sees
    cut = replace(bright, eroded_brain=half, values=bright.values * half)
    seen = segment(cut, TWO, Detection()).lesion
    refined = segment(cut, TWO, Detection(refine=(Step(name="close", options={"mm": 2}),))).lesion
    assert not seen[:, :, 22].any()
    assert refined[:, :, 22].any()
    assert not (refined & ~scan.brain).any()


def test_steps_apply_in_their_order(anomaly: AnomalyMap) -> None:
    close, largest = Step(name="close", options={"mm": 6}), Step(name="largest")
    rng = np.random.default_rng(0)
    speckled = replace(
        anomaly, values=anomaly.values + 3 * (rng.random(anomaly.values.shape) > 0.9)
    )
    one = segment(speckled, TWO, Detection(refine=(close, largest))).lesion
    other = segment(speckled, TWO, Detection(refine=(largest, close))).lesion
    assert one.sum() > other.sum()


def test_a_step_in_the_wrong_section_is_refused(anomaly: AnomalyMap) -> None:
    with pytest.raises(RecipeError, match=r"'close'.*section"):
        clean(anomaly, [Step(name="close", options={"mm": 2})])
    with pytest.raises(RecipeError, match=r"'median'.*section"):
        segment(anomaly, TWO, Detection(refine=(Step(name="median", options={"size_mm": 2}),)))
