"""Postprocessing of anomaly maps: cleaning, thresholds, segmentation and mask refinement."""

from anomri.postprocessing.brightness import brightness
from anomri.postprocessing.combination import (
    COMBINATION_STEPS,
    Segmentation,
    StepMap,
    changes_mask,
    unconditional,
)
from anomri.postprocessing.components import findings, number_lesions
from anomri.postprocessing.false_positive_calibration import (
    FALSE_POSITIVE_RULE,
    FalsePositiveCalibration,
)
from anomri.postprocessing.finding_probability import (
    FINDING_FEATURES,
    ListedFinding,
    coefficients_of,
    with_probabilities,
)
from anomri.postprocessing.inscribed_radius import largest_inscribed_radius_mm
from anomri.postprocessing.linear_field import without_linear_field
from anomri.postprocessing.location import (
    GEOMETRIC,
    REGION_COUNTS,
    Places,
    RegionCounts,
    count_by_region,
    in_words,
    located_findings,
    sum_by_place,
    with_locations,
)
from anomri.postprocessing.mixture import MixtureFit, fit_mixture
from anomri.postprocessing.native_subtraction import CONTRAST_STEPS
from anomri.postprocessing.regions import Regions, nested_labels
from anomri.postprocessing.state import SegmentationState
from anomri.postprocessing.steps import (
    MAP_STEPS,
    MASK_STEPS,
    RULES,
    SCAN_RULES,
    SEGMENTATION_METHODS,
    STEPS,
    TO_BE_FITTED,
    WITHOUT_THRESHOLD,
    check_method,
    check_rule,
    clean,
    fit_threshold,
    segment,
    threshold_of_scan,
)
from anomri.postprocessing.threads import run_in_parallel
from anomri.postprocessing.threshold_rule import ThresholdRule
from anomri.postprocessing.thresholds import ThresholdFits

__all__ = [
    "COMBINATION_STEPS",
    "CONTRAST_STEPS",
    "FALSE_POSITIVE_RULE",
    "FINDING_FEATURES",
    "GEOMETRIC",
    "MAP_STEPS",
    "MASK_STEPS",
    "REGION_COUNTS",
    "RULES",
    "SCAN_RULES",
    "SEGMENTATION_METHODS",
    "STEPS",
    "TO_BE_FITTED",
    "WITHOUT_THRESHOLD",
    "FalsePositiveCalibration",
    "ListedFinding",
    "MixtureFit",
    "Places",
    "RegionCounts",
    "Regions",
    "Segmentation",
    "SegmentationState",
    "StepMap",
    "ThresholdFits",
    "ThresholdRule",
    "brightness",
    "changes_mask",
    "check_method",
    "check_rule",
    "clean",
    "coefficients_of",
    "count_by_region",
    "findings",
    "fit_mixture",
    "fit_threshold",
    "in_words",
    "largest_inscribed_radius_mm",
    "located_findings",
    "nested_labels",
    "number_lesions",
    "run_in_parallel",
    "segment",
    "sum_by_place",
    "threshold_of_scan",
    "unconditional",
    "with_locations",
    "with_probabilities",
    "without_linear_field",
]
