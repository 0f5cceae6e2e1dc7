"""From anomaly maps to masks: clean the map, set a threshold, segment, refine the mask."""

from anomri.postprocessing.components import findings, numbered
from anomri.postprocessing.false_positive_calibration import (
    FALSE_POSITIVE_RULE,
    FalsePositiveCalibration,
)
from anomri.postprocessing.inscribed_radius import largest_inscribed_radius_mm
from anomri.postprocessing.regions import Regions, nested_labels
from anomri.postprocessing.segment import (
    REGION_STEPS,
    SCAN_RULES,
    SEGMENTATION_METHODS,
    TO_BE_FITTED,
    WITHOUT_THRESHOLD,
    clean,
    decide,
    decide_nearby,
    fit_threshold,
    threshold_of_scan,
)
from anomri.postprocessing.state import SegmentationState
from anomri.postprocessing.threads import together
from anomri.postprocessing.thresholds import ThresholdFits

__all__ = [
    "FALSE_POSITIVE_RULE",
    "REGION_STEPS",
    "SCAN_RULES",
    "SEGMENTATION_METHODS",
    "TO_BE_FITTED",
    "WITHOUT_THRESHOLD",
    "FalsePositiveCalibration",
    "Regions",
    "SegmentationState",
    "ThresholdFits",
    "clean",
    "decide",
    "decide_nearby",
    "findings",
    "fit_threshold",
    "largest_inscribed_radius_mm",
    "nested_labels",
    "numbered",
    "threshold_of_scan",
    "together",
]
