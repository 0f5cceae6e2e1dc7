"""One scan, and what was found in it, as a page that is nothing but the viewer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anomri.errors import ScanError
from anomri.preprocessing import read_labels, read_native, read_truth
from anomri.reporting.html import write_html
from anomri.reporting.naming import MASK, REGIONS, derivative
from anomri.reporting.position import GEOMETRIC
from anomri.reporting.preview import Copy, Layer, anomaly_levels, grey_levels, level_scale, pack
from anomri.reporting.record import Record, cut_through, read_record, scale_top
from anomri.reporting.slices import box_around
from anomri.scan import Grid, Mask, ScanFiles, Volume

VOXEL_MM = 1.0
"""A page of one scan has room for voxels of this length."""

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
        orientation: where the axes of files point whose headers do not say so, such as ``RAS``.
        mask_grid: where the expert's mask lies, as for :func:`anomri.preprocessing.read_truth`.

    Raises:
        ScanError: an image cannot be read.
        UsageError: a sidecar of the detection is damaged.
    """
    record = read_record(result, files.label) if result else None
    images, grid = _images(files, orientation)
    brain = _brain(files, images, grid)
    copy = Copy(grid, box_around(brain, grid.spacing), VOXEL_MM)
    layers = [*_grey(images, copy), *_found(files, record, result, copy)]
    layers += _truth(files, copy, mask_grid)
    facts = {} if record is None else _facts(record)
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
        volume, own = read_native(path, contrast, orientation=orientation)
        grid = grid or own
        if own.shape == grid.shape and np.allclose(own.affine, grid.affine, atol=1e-2):
            images[contrast] = volume
        else:
            log.warning("%s lies on another grid and is left out of the viewer", path.name)
    assert grid is not None, "a scan has at least one contrast"  # noqa: S101 - ScanFiles says so
    return images, grid


def _brain(files: ScanFiles, images: dict[str, Volume], grid: Grid) -> Mask:
    """Return what the page has to show: the brain where there is a mask, else what is not empty."""
    if files.brain is not None:
        labels, own = read_labels(files.brain)
        if own.shape == grid.shape:
            return labels > 0
    first = next(iter(images.values()))
    there: Mask = first > np.percentile(first, 1)
    return there


def _grey(images: dict[str, Volume], copy: Copy) -> Iterator[Layer]:
    for contrast, volume in images.items():
        low, high = _window(volume)
        voxels = pack(grey_levels(copy.values(volume), low, high))
        yield Layer(
            name=contrast.upper(),
            kind="image",
            contrast=contrast,
            low=low,
            high=high,
            unit="intensity of the file",
            voxels=voxels,
        )


def _window(volume: Volume) -> tuple[float, float]:
    """Return the grey window of a file: the 1st to the 99.8th percentile of what is not 0."""
    low, high = (float(value) for value in np.percentile(volume[volume != 0], (1, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)


def _found(
    files: ScanFiles, record: Record | None, result: Path | None, copy: Copy
) -> Iterator[Layer]:
    if record is None or result is None:
        return
    for channel, contrast in enumerate(record.contrasts):
        cut, top = _scale(record, channel)
        path = derivative(result, files.label, f"desc-anomaly_{contrast}.nii.gz")
        voxels = pack(anomaly_levels(copy.values(read_native(path)[0]), top))
        about: dict[str, Any] = {
            "contrast": contrast,
            "high": top,
            "unit": record.units,
            "cut": cut,
        }
        yield Layer(name=f"{contrast.upper()} anomaly", kind="anomaly", voxels=voxels, **about)
    if record.regions:
        labels, _ = read_labels(derivative(result, files.label, REGIONS))
        yield Layer(name="Regions", kind="regions", voxels=pack(copy.labels(labels)))
    mask, _ = read_labels(derivative(result, files.label, MASK))
    yield Layer(name="Found", kind="mask", voxels=pack(copy.labels(mask > 0)))


def _scale(record: Record, channel: int = 0) -> tuple[int, float]:
    """Return the level of the threshold of one contrast, and the value of level 255."""
    threshold = record.threshold.value
    cut = cut_through(record.provenance, threshold, record.shows, channel)
    return level_scale(cut, scale_top(threshold, record.units) or 1.0)


def _truth(files: ScanFiles, copy: Copy, mask_grid: str) -> Iterator[Layer]:
    if files.truth is not None:
        try:
            truth = read_truth(files.truth, copy.source, mask_grid=mask_grid)
        except ScanError as error:
            log.warning("left out of the viewer: %s", error)
            return
        yield Layer(name="Expert", kind="truth", voxels=pack(copy.labels(truth > 0)))


def _facts(record: Record) -> dict[str, Any]:
    return {
        "threshold": record.threshold.value,
        "cut": _scale(record)[0],
        "mask_ml": record.lesion_volume_ml,
    }
