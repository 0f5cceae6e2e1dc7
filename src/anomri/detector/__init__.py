"""Models that are ready for scans: recipes, their networks and thresholds, on a device."""

from anomri.detector.detector import AnomalyMaps, Detector
from anomri.detector.loading import (
    build_recipe_network,
    load,
    load_thresholds,
    recipe_to_prepare,
    shipped_weights,
)
from anomri.detector.map_model import Fitted, MapModel, of_contrasts
from anomri.detector.result import Result

__all__ = [
    "AnomalyMaps",
    "Detector",
    "Fitted",
    "MapModel",
    "Result",
    "build_recipe_network",
    "load",
    "load_thresholds",
    "of_contrasts",
    "recipe_to_prepare",
    "shipped_weights",
]
