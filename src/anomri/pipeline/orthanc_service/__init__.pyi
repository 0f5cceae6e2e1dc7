from .detection_responder import DetectionResponder
from .rest_client import Orthanc
from .service import Schedule, Served, serve

__all__ = ["DetectionResponder", "Orthanc", "Schedule", "Served", "serve"]
