"""Data sets on disk: finding scans by layout, and converting DICOM series."""

from anomri.datasets.dicom.conversion import converted
from anomri.datasets.dicom.segmentation import write_segmentation
from anomri.datasets.layouts import LAYOUTS, find
from anomri.datasets.search_results import Found, LeftOut, Skipped

__all__ = [
    "LAYOUTS",
    "Found",
    "LeftOut",
    "Skipped",
    "converted",
    "find",
    "write_segmentation",
]
