"""The main path: from files to a page.

Files are prepared, a model is trained on them, its thresholds are fitted, scans are looked at,
the results are measured and shown. Each function is one command of the command line. A scan that
fails is a row in the outcome, never the end of the batch; what is done and unchanged is not done
again.
"""

from anomri.pipeline.batch import Outcome, Track, untracked
from anomri.pipeline.crew import ALONE, ENGINES, PROCESSES, Crew, WorkerLost
from anomri.pipeline.demonstration import demo
from anomri.pipeline.detection import Instead, detect, gather, load_detector, with_brain_mask
from anomri.pipeline.measurement import evaluate, measure_case, read_case
from anomri.pipeline.model import calibrate, prepare, train
from anomri.pipeline.pages import has_damaged_results, report, view
from anomri.pipeline.parts import WHOLE, Part, all_there
from anomri.pipeline.selection import Selection, refused, survey

__all__ = [
    "ALONE",
    "ENGINES",
    "PROCESSES",
    "WHOLE",
    "Crew",
    "Instead",
    "Outcome",
    "Part",
    "Selection",
    "Track",
    "WorkerLost",
    "all_there",
    "calibrate",
    "demo",
    "detect",
    "evaluate",
    "gather",
    "has_damaged_results",
    "load_detector",
    "measure_case",
    "prepare",
    "read_case",
    "refused",
    "report",
    "survey",
    "train",
    "untracked",
    "view",
    "with_brain_mask",
]
