"""DICOM: a folder of series, nested or mixed, as it comes from the scanner.

Headers decide which series is which contrast (:mod:`anomri.datasets.dicom.recognition`); every
decision is listed with its reason and can be overruled. A study is one scan. Neither the patient's
name nor any other identifying tag is kept: a study is called after a hash of its own number.
"""

from anomri.datasets.dicom.conversion import converted
from anomri.datasets.dicom.layout import LAYOUT, choosing

__all__ = ["LAYOUT", "choosing", "converted"]
