"""A model that is ready to look at scans: a recipe, its network and its thresholds, on a device.

This is what :func:`anomri.load` returns. It knows nothing of folders full of scans, progress or
tables; :mod:`anomri.pipeline` does. Two models of different contrasts can work beside each other:
one shows the whole tumour, one the enhancing tumour, and together they name its regions.
"""

from anomri.detector.calibration import Calibration
from anomri.detector.copying import copy_model
from anomri.detector.loading import (
    build_family,
    builtin_models,
    load,
    load_thresholds,
    recipe_to_prepare,
)
from anomri.detector.model import Detector, Fitted
from anomri.detector.result import Result
from anomri.detector.together import JointCalibration

__all__ = [
    "Calibration",
    "Detector",
    "Fitted",
    "JointCalibration",
    "Result",
    "build_family",
    "builtin_models",
    "copy_model",
    "load",
    "load_thresholds",
    "recipe_to_prepare",
]
