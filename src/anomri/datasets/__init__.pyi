from .acquisition_dates import acquisition_date, parse_date
from .bids_description import write_dataset_description
from .bids_filter import BidsFilter
from .dicom.conversion import converted
from .dicom.layout import find_studies
from .dicom.object_names import DICOM_OBJECTS
from .dicom.refusal_picture import Refusal, write_refusal_picture
from .dicom.result_objects import DicomText, write_dicom_objects
from .dicom.segmentation import require_highdicom, write_segmentation
from .dicom.series_rules import SiteRules
from .given_masks import parse_sources, with_masks
from .layouts import LAYOUTS, find
from .search_results import Found, LeftOut, Skipped

__all__ = [
    "DICOM_OBJECTS",
    "LAYOUTS",
    "BidsFilter",
    "DicomText",
    "Found",
    "LeftOut",
    "Refusal",
    "SiteRules",
    "Skipped",
    "acquisition_date",
    "converted",
    "find",
    "find_studies",
    "parse_date",
    "parse_sources",
    "require_highdicom",
    "with_masks",
    "write_dataset_description",
    "write_dicom_objects",
    "write_refusal_picture",
    "write_segmentation",
]
