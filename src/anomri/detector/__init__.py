"""Models that are ready for scans: recipes, their networks and thresholds, on a device."""

from anomri.detector.detector import AnomalyMaps, Detector
from anomri.detector.loading import load, load_thresholds, recipe_to_prepare
from anomri.detector.map_model import Fitted, MapModel
from anomri.detector.result import Result

__all__ = [
    "AnomalyMaps",
    "Detector",
    "Fitted",
    "MapModel",
    "Result",
    "load",
    "load_thresholds",
    "recipe_to_prepare",
]
