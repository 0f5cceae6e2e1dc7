"""Evaluation metrics: pure functions on arrays, and tables of their results.

::

    mask, values, truth, brain --case_metrics--> one row per subject --summarise--> one per measure

Masks and truth are bool arrays on one grid with axes I, J, K; distances are in mm, volumes in ml,
and names of measures end in their unit. The handling of empty masks is described in
:mod:`~anomri.evaluation.voxels` and :mod:`~anomri.evaluation.surfaces`. A threshold that was chosen
on the labels of the evaluation itself is called oracle.
"""

from anomri.evaluation.cases import case_metrics
from anomri.evaluation.curves import curve_points
from anomri.evaluation.intervals import Interval, bootstrap, paired_difference, pooled_share
from anomri.evaluation.lesion_detection import LesionCounts, count_lesions, found_by_volume
from anomri.evaluation.ranking import Ranking, rank
from anomri.evaluation.reference_lesions import recall_by_size, reference_lesions
from anomri.evaluation.scans import false_positive_ml, mean_absolute_error, volume_ml
from anomri.evaluation.slice_ranking import (
    RankedSlices,
    pooled_slice_auroc,
    slice_auroc,
    summarise_slices,
)
from anomri.evaluation.surfaces import SurfaceDistance, surface_distance
from anomri.evaluation.tables import column, summarise, write_table
from anomri.evaluation.voxels import (
    Confusion,
    confusion,
    dice,
    precision,
    sensitivity,
    slice_dice,
    specificity,
)

__all__ = [
    "Confusion",
    "Interval",
    "LesionCounts",
    "RankedSlices",
    "Ranking",
    "SurfaceDistance",
    "bootstrap",
    "case_metrics",
    "column",
    "confusion",
    "count_lesions",
    "curve_points",
    "dice",
    "false_positive_ml",
    "found_by_volume",
    "mean_absolute_error",
    "paired_difference",
    "pooled_share",
    "pooled_slice_auroc",
    "precision",
    "rank",
    "recall_by_size",
    "reference_lesions",
    "sensitivity",
    "slice_auroc",
    "slice_dice",
    "specificity",
    "summarise",
    "summarise_slices",
    "surface_distance",
    "volume_ml",
    "write_table",
]
