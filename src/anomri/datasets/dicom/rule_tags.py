"""Tags that a site's rules may name: none of them identifies a patient."""

from __future__ import annotations

SITE_TAGS = (
    *("Manufacturer", "ManufacturerModelName", "StationName", "StudyDescription"),
    *("BodyPartExamined", "MRAcquisitionType", "MagneticFieldStrength", "SliceThickness"),
)
"""Tags that are read for rules alone."""
RULE_TAGS = (
    *("SeriesDescription", "ProtocolName", "SeriesNumber", "SequenceName", "Modality"),
    *("ImageType", "ScanningSequence", "SequenceVariant", "ContrastBolusAgent", "EchoTime"),
    *("RepetitionTime", "InversionTime", "FlipAngle", "Rows", "Columns", *SITE_TAGS),
)
