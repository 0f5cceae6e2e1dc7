"""Preparation of scans for the models, and the way back to their native space.

Only affine transforms are applied, and ``Scan.grid`` records all of them: results return to the
input's own voxels with a single interpolation.
"""

from anomri.preprocessing.brain_resampling import resample_to_isotropic
from anomri.preprocessing.grids import grid_to_ras, volume_to_ras
from anomri.preprocessing.intensities import INTENSITY_SCALINGS, robust_zscore
from anomri.preprocessing.native_space import (
    labels_to_native,
    lesion_numbers_to_native,
    mask_to_native,
    slice_scores_to_native,
    volume_to_native,
)
from anomri.preprocessing.prepare import prepare_images, prepare_scan
from anomri.preprocessing.prepared_folder.folder import PreparedFolder, is_prepared
from anomri.preprocessing.reading.in_memory import ImageSource
from anomri.preprocessing.reading.mask_placement import check_mask_grid
from anomri.preprocessing.reading.orientation import check_orientation
from anomri.preprocessing.reading.scan_images import read_volume
from anomri.preprocessing.reading.segmentations import read_labels, read_truth
from anomri.preprocessing.reading.subject import note_ambiguous_files, require_contrasts
from anomri.preprocessing.resampling import resample_to_grid
from anomri.preprocessing.template.mni152 import TEMPLATE_SPACE, template_grid
from anomri.preprocessing.template.tissues import template_tissue_at

__all__ = [
    "INTENSITY_SCALINGS",
    "TEMPLATE_SPACE",
    "ImageSource",
    "PreparedFolder",
    "check_mask_grid",
    "check_orientation",
    "grid_to_ras",
    "is_prepared",
    "labels_to_native",
    "lesion_numbers_to_native",
    "mask_to_native",
    "note_ambiguous_files",
    "prepare_images",
    "prepare_scan",
    "read_labels",
    "read_truth",
    "read_volume",
    "require_contrasts",
    "resample_to_grid",
    "resample_to_isotropic",
    "robust_zscore",
    "slice_scores_to_native",
    "template_grid",
    "template_tissue_at",
    "volume_to_native",
    "volume_to_ras",
]
