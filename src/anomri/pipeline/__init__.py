"""The main path: from files to a page.

Files are prepared, a model is trained on them, its thresholds are fitted, scans are looked at,
the results are measured and shown. Each function is one command of the command line. A scan that
fails is a row in the outcome, never the end of the batch; what is done and unchanged is not done
again.
"""

from anomri.pipeline.demonstration import demo
from anomri.pipeline.detection import detect, gather, with_brain_mask
from anomri.pipeline.evaluation import evaluate, measure_case, read_case
from anomri.pipeline.model import calibrate, prepare, train
from anomri.pipeline.reports import has_damaged_results, report, view
from anomri.pipeline.scan_selection import Selection, find_scans, refused

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
    "prepare",
    "read_case",
    "refused",
    "report",
    "train",
    "view",
    "with_brain_mask",
]
