from .detector import Detector
from .loading import load
from .map_model import MapModel
from .result import Result

__all__ = ["Detector", "MapModel", "Result", "load"]
