"""Data sets on disk: finding scans by layout, and converting DICOM series."""

from anomri.datasets.cases import Layout
from anomri.datasets.dicom.conversion import converted
from anomri.datasets.dicom.segmentation import write_segmentation
from anomri.datasets.layouts import AUTO, LAYOUTS, find
from anomri.datasets.search_results import Found, LeftOut, Recognised, Skipped

__all__ = [
    "AUTO",
    "LAYOUTS",
    "Found",
    "Layout",
    "LeftOut",
    "Recognised",
    "Skipped",
    "converted",
    "find",
    "write_segmentation",
]
