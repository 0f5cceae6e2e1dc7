"""Models that are ready for scans: recipes, their networks and thresholds, on a device."""

from anomri.detector.detector import Detector
from anomri.detector.loading import load
from anomri.detector.map_model import MapModel
from anomri.detector.result import Result

__all__ = ["Detector", "MapModel", "Result", "load"]
