"""Kinds of the DICOM objects of a result, and the names of their files."""

from __future__ import annotations

SEG, SR, SC, PM = "seg", "sr", "sc", "pm"
DICOM_OBJECTS = (SEG, SR, SC, PM)
"""Segmentation, structured report, secondary capture and parametric map."""
FILE_NAMES = {
    SEG: "label-lesion_seg.dcm",
    SR: "label-lesion_sr.dcm",
    SC: "desc-qc_sc.dcm",
    PM: "desc-anomaly_pm.dcm",
}
