"""Scans as they lie on disk to scans that a model can look at, and the way home.

Only affine geometry happens here, and all of it stands in ``Scan.grid``: a result returns to the
input's own voxels with one interpolation.
"""

from anomri.preprocessing.cache import PreparedFolder, is_prepared
from anomri.preprocessing.coarser import at_spacing, onto
from anomri.preprocessing.contrast_gate import DOUBT
from anomri.preprocessing.home import (
    labels_to_native,
    mask_to_native,
    numbers_to_native,
    slices_to_native,
    to_native,
)
from anomri.preprocessing.in_memory import ImageSource
from anomri.preprocessing.intensities import INTENSITIES, standardised
from anomri.preprocessing.mask_placement import check_mask_grid
from anomri.preprocessing.orientation import check_orientation
from anomri.preprocessing.preparing import prepare_images, prepare_scan
from anomri.preprocessing.reading import read_labels, read_native
from anomri.preprocessing.subject import read_truth, require_contrasts, with_unclear_noted
from anomri.preprocessing.template import SPACE, template_grid
from anomri.preprocessing.tissues import tissue_at

__all__ = [
    "DOUBT",
    "INTENSITIES",
    "SPACE",
    "ImageSource",
    "PreparedFolder",
    "at_spacing",
    "check_mask_grid",
    "check_orientation",
    "is_prepared",
    "labels_to_native",
    "mask_to_native",
    "numbers_to_native",
    "onto",
    "prepare_images",
    "prepare_scan",
    "read_labels",
    "read_native",
    "read_truth",
    "require_contrasts",
    "slices_to_native",
    "standardised",
    "template_grid",
    "tissue_at",
    "to_native",
    "with_unclear_noted",
]
