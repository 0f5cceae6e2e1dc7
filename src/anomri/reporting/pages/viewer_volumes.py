"""The small copy of a scan that the page's viewer shows: the box of the brain, 8 bits a voxel.

It is made from arrays alone, so nothing of a patient's header can reach a page. Levels of an
anomaly map are laid out so that the threshold falls exactly between two of them: counting voxels
above level ``cut`` is comparing the map with the threshold.
"""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import ndimage

from anomri.files import read_json
from anomri.reporting.derivatives.images import reconstructs
from anomri.reporting.derivatives.naming import PREVIEW, derivative
from anomri.reporting.derivatives.sidecar import DETECT_AGAIN, RESEARCH_USE, unit_of
from anomri.reporting.figures.panels import cut_of, grey_window, scale_of
from anomri.reporting.figures.slice_choice import Box, box_around
from anomri.scan import Affine, Detection, Grid, Volume

VOXEL_MM = 2.0
"""Voxels on the page are at least this long; 20 brains of such voxels fit one page."""
LEVELS = 255

Kind = Literal["image", "reconstruction", "anomaly", "mask", "truth", "regions"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Layer(_Part):
    """One kind of voxel.

    Attributes:
        name: written beside its switch.
        kind: what it is; masks and regions hold labels, the others levels from 0 to 255.
        contrast: what it was made from; empty for labels.
        low: value of level 0.
        high: value of level 255.
        unit: of the values.
        cut: of an anomaly map, the level that its threshold equals.
        voxels: bytes, I fastest, gzip, base64.
    """

    name: str
    kind: Kind
    contrast: str = ""
    low: float = 0.0
    high: float = float(LEVELS)
    unit: str = ""
    cut: int = 0
    voxels: str


class Preview(_Part):
    """The copy of one scan.

    Attributes:
        label: BIDS prefix of the scan.
        shape: voxels along I, J, K.
        affine: (4, 4) index to world mm, by rows.
        spacing_mm: along I, J, K.
        voxel_ml: volume of one voxel of the copy.
        threshold: the cut through the anomaly map; None without one.
        cut: the level of the anomaly map that the threshold equals.
        mask_ml: the lesions' volume as written, on the model's own grid.
        layers: what can be shown, bottom first.
        research_use: the notice that goes with every result.
    """

    label: str
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]
    spacing_mm: tuple[float, float, float]
    voxel_ml: float
    threshold: float | None = None
    cut: int = 0
    mask_ml: float | None = None
    layers: tuple[Layer, ...]
    research_use: str = RESEARCH_USE


class Copy:
    """Cuts volumes of one grid to a box and makes them coarser where their voxels are short.

    Args:
        grid: where the volumes lie.
        box: the part worth showing.
        voxel_mm: shortest voxel of the copy.
    """

    def __init__(self, grid: Grid, box: Box, voxel_mm: float = VOXEL_MM) -> None:
        self.source = grid
        self.box = tuple(slice(low, high) for low, high in zip(box.low, box.high, strict=True))
        before = np.subtract(box.high, box.low)
        after = np.maximum(1, np.ceil(before * np.minimum(1, np.divide(box.spacing, voxel_mm))))
        self.zoom = after / before
        self.grid = Grid(
            shape=(int(after[0]), int(after[1]), int(after[2])),
            affine=_moved(grid.affine, np.array(box.low), 1 / self.zoom),
        )

    def values(self, volume: NDArray[Any]) -> Volume:
        """Return the copy of an (I, J, K) volume, linearly interpolated."""
        inside = volume[self.box].astype(np.float32)
        if (self.zoom == 1).all():
            return inside
        small: Volume = ndimage.zoom(inside, self.zoom, order=1, mode="nearest", grid_mode=True)
        return small

    def labels(self, volume: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the copy of (I, J, K) labels: each voxel takes the one that covers it most."""
        names = [int(name) for name in np.unique(volume) if name]
        if not names:
            return np.zeros(self.grid.shape, np.uint8)
        shares = np.stack([self.values(volume == name) for name in names])
        covered = shares.sum(axis=0) >= 0.5
        largest: NDArray[np.uint8] = np.array(names, np.uint8)[shares.argmax(axis=0)] * covered
        return largest

    def preview(self, label: str, layers: Sequence[Layer], **facts: Any) -> Preview:
        """Put layers of this copy together."""
        i, j, k, last = (tuple(float(value) for value in row) for row in self.grid.affine)
        return Preview(
            label=label,
            shape=self.grid.shape,
            affine=(i, j, k, last),
            spacing_mm=self.grid.spacing,
            voxel_ml=self.grid.voxel_ml,
            layers=tuple(layers),
            **facts,
        )


def preview_of(detection: Detection, *, voxel_mm: float = VOXEL_MM) -> Preview:
    """Return the copy of a scan and of what was found in it."""
    scan = detection.anomaly.scan
    copy = Copy(scan.grid, box_around(scan.brain, scan.grid.spacing), voxel_mm)
    cut, _ = level_scale(detection.threshold.value, scale_of(detection))
    return copy.preview(
        scan.label,
        [*_levels(detection, copy), *_labels(detection, copy)],
        threshold=detection.threshold.value,
        cut=cut,
        mask_ml=detection.volume_ml,
    )


def read_preview(folder: Path, label: str) -> Preview | None:
    """Read back the copy of a scan; None where an older run left none.

    Raises:
        DamagedFile: the file is damaged.
    """
    path = derivative(folder, label, PREVIEW)
    if not path.is_file():
        return None
    what = "the viewer's copy of a scan"
    return read_json(path, Preview, what=what, next_step=DETECT_AGAIN)


def grey_levels(volume: Volume, low: float, high: float) -> NDArray[np.uint8]:
    """Map ``low`` to 0 and ``high`` to 255, and what lies outside to the nearer of them."""
    share = (volume - low) / (high - low)
    levels: NDArray[np.uint8] = np.rint(np.clip(share, 0, 1) * LEVELS).astype(np.uint8)
    return levels


def level_scale(threshold: float, top: float) -> tuple[int, float]:
    """Return the level that the threshold equals, and the value of level 255.

    The value is ``top`` or, so that the threshold is a whole level, up to a level less.

    Args:
        threshold: the cut; 0 levels where it is not above 0.
        top: where the colour scale ends.
    """
    if threshold <= 0:
        return 0, top
    cut = min(math.ceil(LEVELS * threshold / top - 1e-6), LEVELS)
    return cut, threshold * LEVELS / cut


def anomaly_levels(volume: Volume, high: float) -> NDArray[np.uint8]:
    """Map 0 to 0 and ``high`` to 255, rounding up.

    So a level is above that of the threshold exactly where the value is above the threshold.
    """
    share = np.clip(volume.astype(np.float64) / high, 0, 1)
    # A hair less, or the rounding of the division would lift the threshold itself a level.
    levels: NDArray[np.uint8] = np.ceil(share * LEVELS - 1e-4).clip(0).astype(np.uint8)
    return levels


def pack(voxels: NDArray[np.uint8]) -> str:
    """Compress labels or levels (I, J, K) for a page; I runs fastest, as in NIfTI."""
    data = gzip.compress(voxels.tobytes(order="F"), 9, mtime=0)
    return base64.b64encode(data).decode("ascii")


def _levels(detection: Detection, copy: Copy) -> Iterator[Layer]:
    anomaly, scan = detection.anomaly, detection.anomaly.scan
    for channel, contrast in enumerate(scan.contrasts):
        low, high = grey_window(scan, channel)
        common = {"contrast": contrast, "low": low, "high": high, "unit": "prepared intensity"}
        seen = copy.values(np.where(scan.brain, scan.image[channel], low))
        voxels = pack(grey_levels(seen, low, high))
        yield Layer(name=contrast.upper(), kind="image", voxels=voxels, **common)
        if reconstructs(detection, channel):
            drawn = copy.values(np.where(scan.brain, anomaly.reconstruction[channel], low))
            voxels = pack(grey_levels(drawn, low, high))
            name = f"{contrast.upper()} reconstruction"
            yield Layer(name=name, kind="reconstruction", voxels=voxels, **common)
        cut, top = level_scale(cut_of(detection, channel), scale_of(detection))
        heat = pack(anomaly_levels(copy.values(anomaly.values[channel]), top))
        yield Layer(
            name=f"{contrast.upper()} anomaly",
            kind="anomaly",
            contrast=contrast,
            high=top,
            unit=unit_of(detection),
            cut=cut,
            voxels=heat,
        )


def _labels(detection: Detection, copy: Copy) -> Iterator[Layer]:
    scan = detection.anomaly.scan
    truth = scan.lesions
    if detection.regions is not None:
        voxels = pack(copy.labels(detection.regions))
        yield Layer(name="Regions", kind="regions", voxels=voxels)
    yield Layer(name="Found", kind="mask", voxels=pack(copy.labels(detection.mask)))
    if truth is not None:
        yield Layer(name="Expert", kind="truth", voxels=pack(copy.labels(truth)))


def _moved(affine: Affine, first: NDArray[Any], step: NDArray[np.float64]) -> Affine:
    """Return the affine of voxels ``step`` old ones long that begin at the edge of ``first``."""
    index = np.diag([*step, 1.0])
    index[:3, 3] = first + (step - 1) / 2
    moved: Affine = affine @ index
    return moved
