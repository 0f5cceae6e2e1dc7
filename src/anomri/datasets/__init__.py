"""Layouts on disk to scans. Files are listed by name, nothing is computed."""

from anomri.datasets.dicom.conversion import converted
from anomri.datasets.find import LAYOUTS, find
from anomri.datasets.found import Found, LeftOut

__all__ = ["LAYOUTS", "Found", "LeftOut", "converted", "find"]
