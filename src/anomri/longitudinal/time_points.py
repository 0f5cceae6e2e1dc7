"""One time point: the result of a scan, and the images that it is compared by."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from anomri.errors import DamagedFile, MissingContrast
from anomri.files import BRAIN_MASK, LESION_LABELS, PREVIEW, derivative, read_json, undamaged
from anomri.preprocessing import read_volume
from anomri.reporting import Preview, Record
from anomri.scan import Grid, Mask, Volume

DETECT_AGAIN = "delete this scan's folder and run `anomri detect` again"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePoint:
    """A scan of a subject and the lesions found in it.

    Attributes:
        record: facts of the result.
        contrast: what ``image`` shows.
        image: (I, J, K) float32, in any unit.
        grid: grid of ``image``.
        brain: (I, J, K) bool, on ``native``.
        lesions: (I, J, K) numbers of the findings on ``native``, 0 elsewhere.
        native: grid of the scan's own file.
        days: since the first time point; None where the dates are not known.
    """

    record: Record
    contrast: str
    image: Volume
    grid: Grid
    brain: Mask
    lesions: NDArray[np.int32]
    native: Grid
    days: int | None = None

    @property
    def label(self) -> str:
        """BIDS prefix of the scan in its folder of results."""
        return self.record.label


def read_time_point(
    folder: Path,
    record: Record,
    *,
    contrast: str,
    scan: Path | None = None,
    days: int | None = None,
    orientation: str = "",
) -> TimePoint:
    """Read a time point from a folder of results.

    Args:
        folder: written by ``anomri detect``.
        record: of the scan, from this folder.
        contrast: the contrast to compare by.
        scan: file of this contrast; without it the viewer's copy in ``folder`` is used, which is
            coarser.
        days: since the first time point.
        orientation: of files whose headers do not give one.

    Raises:
        DamagedFile: a file of the result is missing or damaged.
        ScanError: the scan cannot be read, or the result has no copy of this contrast.
    """
    brain, native = _labels(derivative(folder, record.label, BRAIN_MASK))
    lesions = _lesions(derivative(folder, record.label, LESION_LABELS), record)
    if scan is None:
        image, grid = _copy(derivative(folder, record.label, PREVIEW), contrast)
    else:
        image, grid = read_volume(scan, contrast, orientation=orientation)
    return TimePoint(
        record=record,
        contrast=contrast,
        image=image,
        grid=grid,
        brain=brain > 0,
        lesions=lesions,
        native=native,
        days=days,
    )


def _lesions(path: Path, record: Record) -> NDArray[np.int32]:
    """Read the numbers of lesions; each must be in the record, which has their volumes."""
    lesions, _ = _labels(path)
    unknown = np.setdiff1d(lesions, [0, *(finding.number for finding in record.findings)])
    if unknown.size:
        raise DamagedFile(
            path,
            expected="lesions of the result alone",
            got=f"one of the number {unknown[0]}",
            next_step=DETECT_AGAIN,
        )
    return lesions


def _labels(path: Path) -> tuple[NDArray[np.int32], Grid]:
    """Read numbers of up to 16 bits, as this package writes them."""
    with undamaged(path, what="an image written by `anomri detect`", next_step=DETECT_AGAIN):
        image: Any = nib.load(path)
        header = image.header
        grid = Grid(
            shape=image.shape,
            affine=np.asarray(image.affine, np.float64),
            sform_code=int(header["sform_code"]),
            qform_code=int(header["qform_code"]),
            qform=header.get_qform(),
        )
        return np.asarray(image.dataobj).astype(np.int32), grid


def _copy(path: Path, contrast: str) -> tuple[Volume, Grid]:
    """Return the viewer's copy of a contrast."""
    what = "the viewer's copy of a scan"
    if not path.is_file():
        raise DamagedFile(path, expected=what, got="no such file", next_step=DETECT_AGAIN)
    preview = read_json(path, Preview, what=what, next_step=DETECT_AGAIN)
    layers = (one for one in preview.layers if one.kind == "image" and one.contrast == contrast)
    layer = next(layers, None)
    if layer is None:
        raise MissingContrast(
            path,
            expected=f"a copy of {contrast.upper()}",
            got="other contrasts",
            next_step="follow scans with a contrast in common",
        )
    with undamaged(path, what=what, next_step=DETECT_AGAIN):
        levels = np.frombuffer(gzip.decompress(base64.b64decode(layer.voxels)), np.uint8)
        values = levels.reshape(preview.shape, order="F").astype(np.float32)
    image = layer.low + values / np.float32(255) * np.float32(layer.high - layer.low)
    return image, Grid(shape=preview.shape, affine=np.array(preview.affine, np.float64))
