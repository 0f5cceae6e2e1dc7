"""The page of one scan: the viewer with the scan and its detection."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anomri.errors import ScanError
from anomri.files import LESION_MASK, REGION_LABELS, derivative, map_name
from anomri.postprocessing import GEOMETRIC
from anomri.preprocessing import read_labels, read_truth, read_volume
from anomri.reporting.derivatives.sidecar import Record, read_record, scale_top
from anomri.reporting.figures.panels import grey_window
from anomri.reporting.figures.slice_choice import box_around
from anomri.reporting.pages.html import write_html
from anomri.reporting.pages.viewer_volumes import Copy, Layer, level_scale
from anomri.scan import Grid, Mask, ScanFiles, Volume

VOXEL_MM = 1.0
"""Shortest voxel on a page of one scan."""

log = logging.getLogger(__name__)


def write_view(
    files: ScanFiles,
    page: Path,
    *,
    result: Path | None = None,
    orientation: str = "",
    mask_grid: str = "auto",
) -> Path:
    """Write a page with the viewer of one scan, on the grid of its file.

    Args:
        files: the scan.
        page: file to write.
        result: folder with its detection; without it the scan alone is shown.
        orientation: axes of files whose headers do not give them, such as ``RAS``.
        mask_grid: placement of the expert mask, see :func:`anomri.preprocessing.read_truth`.

    Raises:
        ScanError: an image cannot be read.
        UsageError: a sidecar of the detection is damaged.
    """
    record = read_record(result, files.label) if result else None
    images, grid = _images(files, orientation)
    copy = Copy(grid, box_around(_brain(files, images, grid), grid.spacing), VOXEL_MM)
    layers = [
        copy.grey_layer(volume, contrast, grey_window(volume[volume != 0]), "intensity of the file")
        for contrast, volume in images.items()
    ]
    facts: dict[str, float] = {}
    if record is not None and result is not None:
        layers += _detection_layers(record, result, copy)
        threshold = record.threshold.value
        facts = {"threshold": threshold, "mask_ml": record.lesion_volume_ml}
        facts["cut"] = level_scale(_cut(record, 0), _top(record))[0]
    layers += _truth_layers(files, copy, mask_grid)
    return write_html(
        page,
        "view.html.j2",
        subject=files.subject,
        label=files.label,
        record=record,
        geometric=GEOMETRIC,
        copy=copy.preview(files.label, layers, **facts),
    )


def _images(files: ScanFiles, orientation: str) -> tuple[dict[str, Volume], Grid]:
    """Read all contrasts that lie on the grid of the first."""
    images: dict[str, Volume] = {}
    grid: Grid | None = None
    for contrast, path in files.contrasts.items():
        volume, own = read_volume(path, contrast, orientation=orientation)
        grid = grid or own
        if own.shape == grid.shape and np.allclose(own.affine, grid.affine, atol=1e-2):
            images[contrast] = volume
        else:
            log.warning("%s lies on another grid and is left out of the viewer", path.name)
    assert grid is not None, "a scan has at least one contrast"  # noqa: S101 - ScanFiles says so
    return images, grid


def _brain(files: ScanFiles, images: dict[str, Volume], grid: Grid) -> Mask:
    """Return the brain mask of the scan, or without one the voxels that are not background."""
    if files.brain is not None:
        labels, own = read_labels(files.brain)
        if own.shape == grid.shape:
            return labels > 0
    first = next(iter(images.values()))
    return np.asarray(first > np.percentile(first, 1))


def _detection_layers(record: Record, result: Path, copy: Copy) -> Iterator[Layer]:
    for channel, contrast in enumerate(record.contrasts):
        path = derivative(result, record.label, map_name("anomaly", contrast))
        volume, _ = read_volume(path)
        cut, top = _cut(record, channel), _top(record)
        yield copy.anomaly_layer(volume, contrast, cut, top, record.units)
    if record.regions:
        labels, _ = read_labels(derivative(result, record.label, REGION_LABELS))
        yield copy.label_layer("Regions", "regions", labels)
    mask, _ = read_labels(derivative(result, record.label, LESION_MASK))
    yield copy.label_layer("Found", "mask", mask > 0)


def _cut(record: Record, channel: int) -> float:
    return record.provenance.threshold_of(channel, record.shows, record.threshold.value)


def _top(record: Record) -> float:
    return scale_top(record.threshold.value, record.units) or 1.0


def _truth_layers(files: ScanFiles, copy: Copy, mask_grid: str) -> Iterator[Layer]:
    if files.truth is not None:
        try:
            truth = read_truth(files.truth, copy.source, mask_grid=mask_grid)
        except ScanError as error:
            log.warning("left out of the viewer: %s", error)
            return
        yield copy.label_layer("Expert", "truth", truth > 0)
