from .brain_resampling import resample_to_isotropic
from .grids import grid_to_ras, volume_to_ras
from .intensities import INTENSITY_SCALINGS, robust_zscore
from .native_space import (
    labels_to_native,
    lesion_numbers_to_native,
    mask_to_native,
    slice_scores_to_native,
    volume_to_native,
)
from .prepare import prepare_images, prepare_scan
from .prepared_folder.folder import PreparedFolder, is_prepared
from .reading.in_memory import ImageSource, check_images, name_of_images, to_simpleitk
from .reading.mask_placement import check_mask_grid
from .reading.orientation import check_orientation
from .reading.required_contrasts import note_ambiguous_files, require_contrasts
from .reading.scan_images import read_volume
from .reading.segmentations import read_labels, read_truth
from .resampling import resample_to_grid
from .template.mni152 import TEMPLATE_SPACE, template_grid
from .template.tissues import template_tissue_at

__all__ = [
    "INTENSITY_SCALINGS",
    "TEMPLATE_SPACE",
    "ImageSource",
    "PreparedFolder",
    "check_images",
    "check_mask_grid",
    "check_orientation",
    "grid_to_ras",
    "is_prepared",
    "labels_to_native",
    "lesion_numbers_to_native",
    "mask_to_native",
    "name_of_images",
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
    "to_simpleitk",
    "volume_to_native",
    "volume_to_ras",
]
