"""The pipeline, one module per command.

Scans are prepared, a model is trained, its thresholds are calibrated, anomalies are detected,
evaluated and reported. A scan that fails is listed in the outcome and does not end the batch.
Finished results are not computed again while files and model are unchanged.
"""

from anomri.pipeline.calibration import calibrate
from anomri.pipeline.demonstration import demo
from anomri.pipeline.detection import detect, gather, with_brain_mask
from anomri.pipeline.evaluation import evaluate, measure_case, read_case
from anomri.pipeline.preparation import prepare
from anomri.pipeline.reports import has_damaged_results, report, view
from anomri.pipeline.scan_selection import Selection, find_scans, refused
from anomri.pipeline.training import train

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
