"""Scans as they lie on disk to scans that a model can look at, and the way home.

Only affine geometry happens here, and all of it stands in ``Scan.grid``: a result returns to the
input's own voxels with one interpolation.
"""

from anomri.preprocessing.cube_grid import at_spacing, onto
from anomri.preprocessing.grids import orient, to_ras
from anomri.preprocessing.intensities import INTENSITIES, standardised
from anomri.preprocessing.native_space import (
    labels_to_native,
    mask_to_native,
    numbers_to_native,
    slices_to_native,
    to_native,
)
from anomri.preprocessing.prepare import prepare_images, prepare_scan
from anomri.preprocessing.prepared.folder import PreparedFolder, is_prepared
from anomri.preprocessing.reading.files import read_labels, read_raw_image
from anomri.preprocessing.reading.in_memory import ImageSource
from anomri.preprocessing.reading.mask_placement import check_mask_grid
from anomri.preprocessing.reading.orientation import check_orientation
from anomri.preprocessing.reading.subject import read_truth, require_contrasts, with_unclear_noted
from anomri.preprocessing.template.placement import SPACE, template_grid
from anomri.preprocessing.template.tissues import tissue_at

__all__ = [
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
    "orient",
    "prepare_images",
    "prepare_scan",
    "read_labels",
    "read_raw_image",
    "read_truth",
    "require_contrasts",
    "slices_to_native",
    "standardised",
    "template_grid",
    "tissue_at",
    "to_native",
    "to_ras",
    "with_unclear_noted",
]
