"""Volumes of the lesions of one time point, with their errors."""

from __future__ import annotations

from anomri.longitudinal.change import MeasuredVolume, surface_errors_ml
from anomri.longitudinal.interval import Lesion
from anomri.longitudinal.time_points import TimePoint


def found_lesions(point: TimePoint) -> dict[int, Lesion]:
    """Return the lesions of a time point by their number in ``findings.tsv``.

    The error of a volume is the volume range of the finding, wider by the error of its surface;
    where the segmentation has no threshold, the error of the surface alone.
    """
    surface = surface_errors_ml(point.lesions, point.native)
    lesions = {}
    for finding in point.record.findings:
        least, most = finding.volume_range_ml or (finding.volume_ml, finding.volume_ml)
        moved = float(surface[finding.number]) if finding.number < len(surface) else 0.0
        volume = MeasuredVolume(finding.volume_ml, max(0.0, least - moved), most + moved)
        lesions[finding.number] = Lesion(finding.number, volume)
    return lesions
