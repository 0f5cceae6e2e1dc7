"""The small copy of a scan for the page's viewer: the box of the brain, 8 bits per voxel.

It is made from arrays alone, so nothing of a patient's header can reach a page. The threshold of
an anomaly map is a whole level: the voxels above level ``cut`` are those above the threshold.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from anomri.files import PREVIEW, compress, derivative, read_json
from anomri.preprocessing import sample
from anomri.reporting.derivatives.sidecar import DETECT_AGAIN
from anomri.reporting.figures.panels import image_rows, scale_of
from anomri.reporting.figures.slice_choice import Box, box_around
from anomri.scan import RESEARCH_USE, Detection, Grid, Volume

VOXEL_MM = 2.0
"""Voxels on the page are at least this long; 20 brains of such voxels fit one page."""
LEVELS = 255

Window = tuple[float, float]
Kind = Literal["image", "reconstruction", "anomaly", "mask", "truth", "regions"]


class Layer(BaseModel, frozen=True):
    """One volume that the viewer can show.

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


class Preview(BaseModel, frozen=True):
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
    """Crops volumes to a box and downsamples voxels that are shorter than a limit.

    Args:
        grid: of the volumes.
        box: the part worth showing.
        voxel_mm: shortest voxel of the copy.
    """

    def __init__(self, grid: Grid, box: Box, voxel_mm: float = VOXEL_MM) -> None:
        self.source = grid
        self.box = tuple(slice(low, high) for low, high in zip(box.low, box.high, strict=True))
        before = np.subtract(box.high, box.low)
        after = np.maximum(1, np.ceil(before * np.minimum(1, np.divide(box.spacing, voxel_mm))))
        self.zoom = after / before
        index = np.diag([*(1 / self.zoom), 1.0])  # of the source, for a voxel of the copy
        index[:3, 3] = np.array(box.low) + (1 / self.zoom - 1) / 2
        shape = (int(after[0]), int(after[1]), int(after[2]))
        self.grid = Grid(shape=shape, affine=grid.affine @ index)

    def values(self, volume: NDArray[Any]) -> Volume:
        """Return the copy of an (I, J, K) volume, linearly interpolated."""
        matrix = np.diag([*(1 / self.zoom), 1.0])  # to the index in the box
        matrix[:3, 3] = (1 / self.zoom - 1) / 2
        inside = volume[self.box].astype(np.float32)
        small: Volume = sample(inside, matrix, self.grid.shape, linear=True)
        return small

    def labels(self, volume: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the copy of (I, J, K) labels: each voxel takes the one that covers it most."""
        numbers = [int(number) for number in np.unique(volume[volume > 0])]
        if not numbers:
            return np.zeros(self.grid.shape, np.uint8)
        shares = np.stack([self.values(volume == number) for number in numbers])
        covered = shares.sum(axis=0) >= 0.5
        largest: NDArray[np.uint8] = np.array(numbers, np.uint8)[shares.argmax(axis=0)] * covered
        return largest

    def grey_layer(
        self, volume: Volume, contrast: str, window: Window, unit: str, kind: Kind = "image"
    ) -> Layer:
        """Return the layer of an image or its reconstruction, in a grey window."""
        low, high = window
        voxels = pack(grey_levels(self.values(volume), low, high))
        name = contrast.upper() if kind == "image" else f"{contrast.upper()} {kind}"
        about = {"name": name, "kind": kind, "contrast": contrast, "unit": unit}
        return Layer(**about, low=low, high=high, voxels=voxels)

    def anomaly_layer(
        self, volume: Volume, contrast: str, threshold: float, top: float, unit: str
    ) -> Layer:
        """Return the layer of an anomaly map whose colours end at ``top`` or close below it."""
        cut, high = level_scale(threshold, top)
        voxels = pack(anomaly_levels(self.values(volume), high))
        about = {"name": f"{contrast.upper()} anomaly", "contrast": contrast, "unit": unit}
        return Layer(kind="anomaly", **about, high=high, cut=cut, voxels=voxels)

    def label_layer(self, name: str, kind: Kind, labels: NDArray[Any]) -> Layer:
        """Return the layer of a mask or of numbered regions."""
        return Layer(name=name, kind=kind, voxels=pack(self.labels(labels)))

    def preview(self, label: str, layers: Sequence[Layer], **facts: Any) -> Preview:
        """Combine layers of this copy."""
        return Preview(
            label=label,
            shape=self.grid.shape,
            affine=self.grid.affine.tolist(),
            spacing_mm=self.grid.spacing,
            voxel_ml=self.grid.voxel_ml,
            layers=tuple(layers),
            **facts,
        )


def preview_of(detection: Detection, *, voxel_mm: float = VOXEL_MM) -> Preview:
    """Return the copy of a scan and of what was found in it."""
    scan, threshold = detection.anomaly.scan, detection.threshold.value
    copy = Copy(scan.grid, box_around(scan.brain, scan.grid.spacing), voxel_mm)
    return copy.preview(
        scan.label,
        [*_maps(detection, copy), *_labels(detection, copy)],
        threshold=threshold,
        cut=level_scale(threshold, scale_of(detection))[0],
        mask_ml=detection.volume_ml,
    )


def read_preview(folder: Path, label: str) -> Preview | None:
    """Read the copy of a scan; None where an older run left none.

    Raises:
        DamagedFile: the file is damaged.
    """
    path, what = derivative(folder, label, PREVIEW), "the viewer's copy of a scan"
    return read_json(path, Preview, what=what, next_step=DETECT_AGAIN) if path.is_file() else None


def grey_levels(volume: Volume, low: float, high: float) -> NDArray[np.uint8]:
    """Map ``low`` to 0 and ``high`` to 255, clipped."""
    share = np.clip((volume - low) / (high - low), 0, 1)
    levels: NDArray[np.uint8] = np.rint(share * LEVELS).astype(np.uint8)
    return levels


def level_scale(threshold: float, top: float) -> tuple[int, float]:
    """Return the level of the threshold, and the value of level 255.

    The value is ``top`` or, so that the threshold is a whole level, up to a level less.

    Args:
        threshold: level 0 where it is not above 0.
        top: end of the colour scale.
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
    return np.ceil(share * LEVELS - 1e-4).clip(0).astype(np.uint8)


def pack(voxels: NDArray[np.uint8]) -> str:
    """Compress labels or levels (I, J, K) for a page; I runs fastest, as in NIfTI."""
    return base64.b64encode(compress(voxels.tobytes(order="F"))).decode("ascii")


def _maps(detection: Detection, copy: Copy) -> Iterator[Layer]:
    for row in image_rows(detection):
        if row.kind == "anomaly":
            yield copy.anomaly_layer(row.volume, row.contrast, row.cut, row.high, detection.units)
        else:
            window = row.low, row.high
            kind: Kind = "reconstruction" if row.kind == "reconstruction" else "image"
            yield copy.grey_layer(row.volume, row.contrast, window, "prepared intensity", kind)


def _labels(detection: Detection, copy: Copy) -> Iterator[Layer]:
    truth = detection.anomaly.scan.lesions
    if detection.regions is not None:
        yield copy.label_layer("Regions", "regions", detection.regions)
    yield copy.label_layer("Found", "mask", detection.mask)
    if truth is not None:
        yield copy.label_layer("Expert", "truth", truth > 0)
