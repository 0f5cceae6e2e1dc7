from .dicom.conversion import converted
from .dicom.segmentation import write_segmentation
from .layouts import LAYOUTS, find
from .search_results import Found, LeftOut, Skipped

__all__ = [
    "LAYOUTS",
    "Found",
    "LeftOut",
    "Skipped",
    "converted",
    "find",
    "write_segmentation",
]
