"""From anomaly maps to masks: clean the map, set a threshold, segment, refine the mask."""

from anomri.postprocessing.components import findings, numbered
from anomri.postprocessing.false_positive_calibration import DECIDED, DecidedFit
from anomri.postprocessing.inscribed_radius import inscribed_mm
from anomri.postprocessing.regions import Regions, nested_labels
from anomri.postprocessing.segment import (
    DECISIONS,
    REGION_STEPS,
    SCAN_RULES,
    TO_BE_FITTED,
    WITHOUT_THRESHOLD,
    clean,
    decide,
    decide_nearby,
    fit_threshold,
    threshold_of_scan,
)
from anomri.postprocessing.state import Candidate
from anomri.postprocessing.threads import together
from anomri.postprocessing.thresholds import ThresholdFits

__all__ = [
    "DECIDED",
    "DECISIONS",
    "REGION_STEPS",
    "SCAN_RULES",
    "TO_BE_FITTED",
    "WITHOUT_THRESHOLD",
    "Candidate",
    "DecidedFit",
    "Regions",
    "ThresholdFits",
    "clean",
    "decide",
    "decide_nearby",
    "findings",
    "fit_threshold",
    "inscribed_mm",
    "nested_labels",
    "numbered",
    "threshold_of_scan",
    "together",
]
