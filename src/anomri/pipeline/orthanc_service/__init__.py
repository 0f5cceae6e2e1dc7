"""The service that answers the studies of an Orthanc."""

from anomri.pipeline.orthanc_service.rest_client import Orthanc
from anomri.pipeline.orthanc_service.service import Schedule, Served, serve
from anomri.pipeline.orthanc_service.study_answer import DetectionResponder

__all__ = ["DetectionResponder", "Orthanc", "Schedule", "Served", "serve"]
