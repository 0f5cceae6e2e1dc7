"""Kinds of the DICOM objects of a result, and the names of their files."""

from __future__ import annotations

from anomri.files import PARAMETRIC_MAP, SECONDARY_CAPTURE, SEGMENTATION, STRUCTURED_REPORT

SEG, SR, SC, PM = "seg", "sr", "sc", "pm"
DICOM_OBJECTS = (SEG, SR, SC, PM)
"""Segmentation, structured report, secondary capture and parametric map."""
FILE_NAMES = {
    SEG: SEGMENTATION,
    SR: STRUCTURED_REPORT,
    SC: SECONDARY_CAPTURE,
    PM: PARAMETRIC_MAP,
}
