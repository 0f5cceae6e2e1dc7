"""The images of one result, and the scan that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomri.errors import MissingContrast, ScanError
from anomri.files import BRAIN_MASK, LESION_LABELS, LESION_MASK, derivative
from anomri.preprocessing import labels_on_contrast, read_labels, read_lesion_numbers
from anomri.reporting import Record
from anomri.scan import Grid, ScanFiles

T1 = "t1"


@dataclass(frozen=True, slots=True)
class ExportedResult:
    """A result to export.

    Attributes:
        results: folder of the results.
        record: of the scan.
        files: of the scan itself; None without ``--scans``.
    """

    results: Path
    record: Record
    files: ScanFiles | None = None

    @property
    def label(self) -> str:
        """BIDS prefix of the scan."""
        return self.record.label

    @property
    def contrast(self) -> str:
        """Contrast whose grid the result lies on."""
        return self.record.contrasts[0]

    def mask(self) -> tuple[NDArray[np.uint8], Grid]:
        """Return the lesion mask as it is now, possibly corrected by hand, and its grid."""
        labels, grid = read_labels(derivative(self.results, self.label, LESION_MASK))
        return (labels > 0).astype(np.uint8), grid

    def numbers(self) -> tuple[NDArray[np.uint16], Grid]:
        """Return the numbers of the lesions, and their grid."""
        return read_lesion_numbers(derivative(self.results, self.label, LESION_LABELS))

    def mask_on_t1(self) -> tuple[NDArray[np.uint8], Grid]:
        """Return the lesion mask on the grid of the T1, and this grid.

        Raises:
            MissingContrast: the scan has no T1.
            ScanError: there is no scan, or its T1 cannot be used.
        """
        mask, grid = self.mask()
        if self.contrast == T1:
            return mask, grid
        own, t1 = self.image(self.contrast), self.image(T1)
        brain, _ = read_labels(derivative(self.results, self.label, BRAIN_MASK))
        return labels_on_contrast(mask, brain > 0, own, t1)

    def image(self, contrast: str) -> Path:
        """Return the file of a contrast of the scan.

        Raises:
            MissingContrast: the scan does not have it.
            ScanError: there is no scan.
        """
        if self.files is None:
            raise ScanError(
                self.label,
                expected="the scan that the result was made of",
                got="none in --scans",
                next_step="give the folder that holds it",
            )
        if contrast not in self.files.contrasts:
            raise MissingContrast(
                self.label,
                expected=f"a scan with a {contrast.upper()}",
                got=", ".join(self.files.contrasts) or "none",
                next_step="add it, or export for another program",
            )
        return self.files.contrasts[contrast]
