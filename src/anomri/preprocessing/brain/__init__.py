"""Brain extraction: given masks, skull-stripped scans, deepbet and HD-BET, with quality checks."""

from anomri.preprocessing.brain.field_of_view import remove_cut_edges
from anomri.preprocessing.brain.find import Method, find_brain
from anomri.preprocessing.brain.given_mask import check_given_mask
from anomri.preprocessing.brain.plausibility import template_mismatch
from anomri.preprocessing.brain.shape_check import has_ct_values
from anomri.preprocessing.brain.voxel_size import estimate_scale

__all__ = [
    "Method",
    "check_given_mask",
    "estimate_scale",
    "find_brain",
    "has_ct_values",
    "remove_cut_edges",
    "template_mismatch",
]
