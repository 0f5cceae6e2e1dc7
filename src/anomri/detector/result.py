"""The result for one scan: images on its own grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import nibabel as nib

from anomri.preprocessing import to_simpleitk
from anomri.reporting import findings_frame, native_images, write_detection
from anomri.scan import Detection, Finding

if TYPE_CHECKING:
    import pandas
    import SimpleITK


@dataclass(frozen=True)
class Result:
    """What a model found in one scan, as images on the scan's own grid; each is made once.

    >>> import numpy as np
    >>> from anomri import load
    >>> head = np.zeros((48, 48, 48), np.float32)
    >>> head[8:40, 8:40, 8:40] = 100 + np.random.default_rng(0).normal(size=(32, 32, 32))
    >>> head[20:26, 20:26, 20:26] = 200
    >>> result = load("intensity", device="cpu").detect({"flair": (head, np.diag([3, 3, 3, 1]))})
    >>> result.mask.shape, len(result.findings)
    ((48, 48, 48), 1)

    Attributes:
        detection: everything, on the model's working grid.
    """

    detection: Detection

    @cached_property
    def _images(self) -> dict[str, nib.Nifti1Image]:
        return native_images(self.detection)

    @property
    def anomaly(self) -> nib.Nifti1Image:
        """The anomaly map of the model's first contrast, float32; higher is more abnormal."""
        return self._images[f"anomaly_{self.detection.anomaly.scan.contrasts[0]}"]

    @property
    def mask(self) -> nib.Nifti1Image:
        """Lesions, uint8."""
        return self._images["mask"]

    @property
    def labels(self) -> nib.Nifti1Image | None:
        """Regions with BraTS numbers, uint8; None where the model names no regions."""
        return self._images.get("regions")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One entry per lesion, largest first, volume in ml."""
        return self.detection.findings

    def to_frame(self) -> pandas.DataFrame:
        """Return a table of the findings, with the columns of ``findings.tsv``."""
        return findings_frame(self.detection)

    def to_sitk(self, image: Literal["mask", "anomaly"] = "mask") -> SimpleITK.Image:
        """Return the mask or the anomaly map as an image of SimpleITK."""
        return to_simpleitk(getattr(self, image))

    def save(self, out: str | Path) -> Path:
        """Write images, tables and the picture of this scan below ``out``; return its folder."""
        return write_detection(self.detection, Path(out))
