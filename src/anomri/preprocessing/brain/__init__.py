"""The brain of a scan: a mask that was given, the foreground of a stripped scan, or deepbet's."""

from anomri.preprocessing.brain.field_of_view import without_cut_edges
from anomri.preprocessing.brain.find import Method, find_brain
from anomri.preprocessing.brain.given_mask import check_given
from anomri.preprocessing.brain.plausibility import SIDE_MM, fault_of
from anomri.preprocessing.brain.shape_check import has_ct_values
from anomri.preprocessing.brain.voxel_size import estimated_scale, resized

__all__ = [
    "SIDE_MM",
    "Method",
    "check_given",
    "estimated_scale",
    "fault_of",
    "find_brain",
    "has_ct_values",
    "resized",
    "without_cut_edges",
]
