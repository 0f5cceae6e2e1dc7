"""What a user gets for one scan: images on its own grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib

from anomri.reporting import native_images, write_detection
from anomri.scan import Detection, Finding


@dataclass(frozen=True, slots=True)
class Result:
    """What a model found in one scan, as images on the scan's own grid.

    Attributes:
        detection: everything, on the model's working grid.
    """

    detection: Detection

    @property
    def anomaly(self) -> nib.Nifti1Image:
        """How abnormal each voxel looks, float32, the first contrast of the model."""
        contrast = self.detection.anomaly.scan.contrasts[0]
        return native_images(self.detection)[f"anomaly_{contrast}"]

    @property
    def mask(self) -> nib.Nifti1Image:
        """Lesions, uint8."""
        return native_images(self.detection)["mask"]

    @property
    def labels(self) -> nib.Nifti1Image | None:
        """Regions with BraTS numbers, uint8, where the model names regions."""
        return native_images(self.detection).get("regions")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One entry per lesion, largest first, volume in ml."""
        return self.detection.findings

    def save(self, out: str | Path) -> Path:
        """Write the images, tables and picture of this scan below ``out``; return its folder."""
        return write_detection(self.detection, Path(out))
