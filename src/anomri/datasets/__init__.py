"""Layouts on disk to scans. Files are listed by name, nothing is computed."""

from anomri.datasets.cases import Layout
from anomri.datasets.dicom.conversion import converted
from anomri.datasets.dicom.segmentation import write_segmentation
from anomri.datasets.found import Found, LeftOut, Recognised, Skipped
from anomri.datasets.layouts import AUTO, LAYOUTS, find

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
