from .adaptation.adaptation import Adaptation, adapt
from .calibration import calibrate
from .data_audit import Problem, audit
from .demonstration import demo
from .detection import detect, gather, with_brain_mask
from .evaluation import evaluate, measure_case, read_case
from .export_formats import EXPORTS, export, has_failure_table
from .follow_up import follow_up, is_results
from .orthanc_service.detection_responder import DetectionResponder
from .orthanc_service.rest_client import Orthanc
from .orthanc_service.service import Schedule, serve
from .packing import pack
from .preparation import prepare
from .reports import has_damaged_results, report, view
from .scan_selection import Selection, find_scans, read_splits, refused
from .training import train

__all__ = [
    "EXPORTS",
    "Adaptation",
    "DetectionResponder",
    "Orthanc",
    "Problem",
    "Schedule",
    "Selection",
    "adapt",
    "audit",
    "calibrate",
    "demo",
    "detect",
    "evaluate",
    "export",
    "find_scans",
    "follow_up",
    "gather",
    "has_damaged_results",
    "has_failure_table",
    "is_results",
    "measure_case",
    "pack",
    "prepare",
    "read_case",
    "read_splits",
    "refused",
    "report",
    "serve",
    "train",
    "view",
    "with_brain_mask",
]
