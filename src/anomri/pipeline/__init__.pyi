from .calibration import calibrate
from .demonstration import demo
from .detection import detect, gather, with_brain_mask
from .evaluation import evaluate, measure_case, read_case
from .packing import pack
from .preparation import prepare
from .reports import has_damaged_results, report, view
from .scan_selection import Selection, find_scans, refused
from .training import train

__all__ = [
    "Selection",
    "calibrate",
    "demo",
    "detect",
    "evaluate",
    "find_scans",
    "gather",
    "has_damaged_results",
    "measure_case",
    "pack",
    "prepare",
    "read_case",
    "refused",
    "report",
    "train",
    "view",
    "with_brain_mask",
]
