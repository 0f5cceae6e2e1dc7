"""The brain of a scan: a mask that was given, the foreground of a stripped scan, or deepbet's."""

from anomri.preprocessing.brain.field_of_view import without_cut_edges
from anomri.preprocessing.brain.find import Method, find_brain
from anomri.preprocessing.brain.gates import has_ct_values
from anomri.preprocessing.brain.given import check_given
from anomri.preprocessing.brain.size import estimated_scale, resized
from anomri.preprocessing.brain.template_gate import SIDE_MM, fault_of

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
