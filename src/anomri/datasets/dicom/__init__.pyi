from .conversion import converted
from .headers import is_dicom
from .layout import LAYOUT, has_dicom_ending, layout_by_rules, layout_with_choices

__all__ = [
    "LAYOUT",
    "converted",
    "has_dicom_ending",
    "is_dicom",
    "layout_by_rules",
    "layout_with_choices",
]
