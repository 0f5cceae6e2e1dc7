from .brain_resampling import resample_to_isotropic
from .contrast_space import labels_on_contrast
from .grids import grid_to_ras, volume_to_ras
from .image_files import image_on, write_image
from .intensities import INTENSITY_SCALINGS, robust_zscore
from .native_space import (
    labels_to_native,
    lesion_numbers_to_native,
    mask_to_native,
    slice_scores_to_native,
    volume_to_native,
)
from .percentiles import percentiles
from .prepare import prepare_images, prepare_scan
from .prepared_folder.folder import PreparedFolder, is_prepared
from .reading.in_memory import ImageSource, check_images, name_of_images, to_simpleitk
from .reading.mask_placement import check_mask_grid
from .reading.orientation import check_orientation
from .reading.required_contrasts import note_ambiguous_files, require_contrasts
from .reading.scan_images import read_volume
from .reading.segmentations import read_labels, read_lesion_numbers, read_truth
from .resampling import index_map, resample_to_grid, sample
from .template.brain_signature import SAME_BRAIN, SAME_IMAGE, brain_signatures, brain_similarities
from .template.itk_transform import itk_transform
from .template.mni152 import TEMPLATE_SPACE, template_grid
from .template.registration import RegistrationResult, centre_of_mass_transform, register
from .template.registration_image import RegistrationImage, make_registration_image
from .template.template_anatomy import anatomy_on, tissues_on
from .template.tissues import template_tissue_at

__all__ = [
    "INTENSITY_SCALINGS",
    "SAME_BRAIN",
    "SAME_IMAGE",
    "TEMPLATE_SPACE",
    "ImageSource",
    "PreparedFolder",
    "RegistrationImage",
    "RegistrationResult",
    "anatomy_on",
    "brain_signatures",
    "brain_similarities",
    "centre_of_mass_transform",
    "check_images",
    "check_mask_grid",
    "check_orientation",
    "grid_to_ras",
    "image_on",
    "index_map",
    "is_prepared",
    "itk_transform",
    "labels_on_contrast",
    "labels_to_native",
    "lesion_numbers_to_native",
    "make_registration_image",
    "mask_to_native",
    "name_of_images",
    "note_ambiguous_files",
    "percentiles",
    "prepare_images",
    "prepare_scan",
    "read_labels",
    "read_lesion_numbers",
    "read_truth",
    "read_volume",
    "register",
    "require_contrasts",
    "resample_to_grid",
    "resample_to_isotropic",
    "robust_zscore",
    "sample",
    "slice_scores_to_native",
    "template_grid",
    "template_tissue_at",
    "tissues_on",
    "to_simpleitk",
    "volume_to_native",
    "volume_to_ras",
    "write_image",
]
