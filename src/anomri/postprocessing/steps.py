"""From an anomaly map to a mask: clean the map, set a threshold, decide, refine the mask.

::

    AnomalyMap -- clean --> AnomalyMap -- threshold_of_scan / fit_threshold --> Threshold
                                |                                                  |
                                +--------------------- segment --------------------+--> Mask

The threshold is always compared with the cleaned map. A step maps one
:class:`SegmentationState` to the next; its keyword-only parameters are the options that a recipe
may give. Lengths are mm and volumes ml, so that a recipe holds on any grid.

To add a step or a segmentation method: write one function and add one line to its table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from anomri.errors import UsageError
from anomri.postprocessing.components import keep_large, largest, remove_small
from anomri.postprocessing.faint import remove_faint
from anomri.postprocessing.false_positive_calibration import FALSE_POSITIVE_RULE
from anomri.postprocessing.filters import median, smooth, standardise
from anomri.postprocessing.lesion_borders import half_maximum
from anomri.postprocessing.local_mean import divide_by_local_mean
from anomri.postprocessing.morphology import closing, dilate, erode_brain, fill_holes, opening
from anomri.postprocessing.native_subtraction import CONTRAST_STEPS
from anomri.postprocessing.segmentation_methods import above, grow, hysteresis, mixture
from anomri.postprocessing.smooth_field import subtract_field
from anomri.postprocessing.state import SegmentationState
from anomri.postprocessing.superficial import remove_superficial
from anomri.postprocessing.thresholds import (
    Fit,
    fit_all,
    fixed,
    healthy,
    labelled,
    oracle,
    robust,
)
from anomri.recipe import Detection, Step, call
from anomri.scan import AnomalyMap, Threshold

MAP_STEPS: Mapping[str, Callable[..., SegmentationState]] = {
    "erode_brain": erode_brain,
    "median": median,
    "smooth": smooth,
    "standardise": standardise,
    "subtract_field": subtract_field,
    "divide_by_local_mean": divide_by_local_mean,
}
MASK_STEPS: Mapping[str, Callable[..., SegmentationState]] = {
    "open": opening,
    "close": closing,
    "dilate": dilate,
    "fill_holes": fill_holes,
    "remove_small": remove_small,
    "remove_superficial": remove_superficial,
    "remove_faint": remove_faint,
    "largest": largest,
    "keep_large": keep_large,
}
STEPS: Mapping[str, Callable[..., SegmentationState]] = {**MAP_STEPS, **MASK_STEPS}

SEGMENTATION_METHODS: Mapping[str, Callable[..., SegmentationState]] = {
    "above": above,
    "hysteresis": hysteresis,
    "grow": grow,
    "half_maximum": half_maximum,
    "mixture": mixture,
}

WITHOUT_THRESHOLD = ("mixture",)

SCAN_RULES: Mapping[str, Callable[..., Threshold]] = {"fixed": fixed, "robust": robust}
FITTED_RULES: Mapping[str, Callable[..., Fit]] = {
    "healthy": healthy,
    "labelled": labelled,
    "oracle": oracle,
}
# Rules whose threshold has to be there before a scan is looked at: calibration leaves it.
TO_BE_FITTED = (*FITTED_RULES, FALSE_POSITIVE_RULE)
RULES: Mapping[str, Callable[..., Threshold | Fit]] = {**SCAN_RULES, **FITTED_RULES}


def clean(anomaly: AnomalyMap, steps: Sequence[Step]) -> AnomalyMap:
    """Apply map steps in turn; the values are 0 outside the brain that is left.

    Raises:
        RecipeError: a step is in neither ``MAP_STEPS`` nor ``CONTRAST_STEPS``, or its options are
            wrong.
    """
    for together, group in groupby(steps, lambda step: step.name in CONTRAST_STEPS):
        if not together:
            anomaly = _clean_each(anomaly, list(group))
            continue
        for step in group:
            anomaly = call(CONTRAST_STEPS, step, anomaly)
    return anomaly if steps else _clean_each(anomaly, ())


def _clean_each(anomaly: AnomalyMap, steps: Sequence[Step]) -> AnomalyMap:
    """Apply steps to each contrast."""
    grid = anomaly.scan.grid
    values, brain = np.zeros_like(anomaly.values), anomaly.brain
    for contrast, before in enumerate(anomaly.values):
        state = SegmentationState(before, anomaly.brain, grid.spacing, grid.voxel_ml)
        state = state.with_values(before)
        for step in steps:
            state = call(MAP_STEPS, step, state)
        values[contrast], brain = state.values, state.brain
    return replace(anomaly, values=values, eroded_brain=brain)


def threshold_of_scan(anomaly: AnomalyMap, rule: Step) -> Threshold:
    """Return the threshold of a rule that needs no other scan.

    Raises:
        RecipeError: the rule is not one of ``SCAN_RULES``, or its options are wrong.
    """
    return call(SCAN_RULES, rule, SegmentationState.of(anomaly))


def fit_threshold(maps: Iterable[AnomalyMap], rule: Step) -> Threshold:
    """Fit a rule to cleaned maps, which may be made one by one as they are asked for.

    Raises:
        RecipeError: the rule is not one of ``FITTED_RULES``, or its options are wrong.
        UsageError: no map holds what the rule needs.
    """
    return fit_all(call(FITTED_RULES, rule), maps)


def segment(anomaly: AnomalyMap, threshold: Threshold, detection: Detection) -> SegmentationState:
    """Turn a cleaned map into the mask of its lesions.

    The contrasts are combined by their maximum. The segmentation method sees the eroded brain; the
    steps that refine its mask may reach to the rim of the whole brain.

    Raises:
        RecipeError: there is no such segmentation method or step, or its options are wrong.
    """
    state = call(
        SEGMENTATION_METHODS, detection.decide, SegmentationState.of(anomaly), threshold.value
    )
    state = state.with_wider_brain(anomaly.scan.brain)
    for step in detection.refine:
        state = call(MASK_STEPS, step, state)
    return state


def check_method(name: str | None) -> None:
    """Refuse an unknown segmentation method; None is none.

    Raises:
        UsageError: there is no such method.
    """
    if name and name not in SEGMENTATION_METHODS:
        raise UsageError(
            f"unknown segmentation method '{name}': expected one of "
            f"{', '.join(SEGMENTATION_METHODS)}. Next: choose one."
        )


def check_rule(name: str | None, fitted: Collection[str], model: str) -> None:
    """Refuse a threshold rule that is unknown or was not fitted; None is none.

    Args:
        name: of the rule.
        fitted: names of the rules that were fitted to the model.
        model: its name, for the error.

    Raises:
        UsageError: there is no such rule, or it has to be fitted first.
    """
    rules = (*SCAN_RULES, *fitted)
    if not name or name in rules:
        return
    unfitted = name in TO_BE_FITTED
    problem = "threshold rule that has not been fitted" if unfitted else "unknown threshold rule"
    step = "run `anomri calibrate` first, or choose another" if unfitted else "choose one"
    raise UsageError(
        f"{model}: {problem} '{name}': expected one of {', '.join(rules)}. Next: {step}."
    )
