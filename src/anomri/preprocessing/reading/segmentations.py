"""Brain masks and expert labels, in their own axis order or on the grid of their scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomri.files import guarded
from anomri.preprocessing.reading.in_memory import ImageSource
from anomri.preprocessing.reading.mask_placement import place_mask
from anomri.preprocessing.reading.non_finite import refuse_non_finite
from anomri.preprocessing.reading.orientation import apply_orientation
from anomri.preprocessing.reading.png_slices import png_slice_files, read_png_slice_labels
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.reading.scan_images import read_source, source_name
from anomri.preprocessing.reading.tiff_slices import read_tiff_slice_labels
from anomri.scan import Grid, Labels


def read_labels(path: Path) -> tuple[Labels, Grid]:
    """Read the label numbers and the grid of a segmentation, in its file's own axis order.

    Raises:
        ScanError: as :func:`~anomri.preprocessing.reading.scan_images.read_volume`, or values that
            are not label numbers.
    """
    raw = read_segmentation(path)
    return raw.labels(), raw.grid


def read_lesion_numbers(path: Path) -> tuple[NDArray[np.uint16], Grid]:
    """Read the numbers of lesions like :func:`read_labels`, above 255 too.

    Raises:
        ScanError: as :func:`read_labels`.
    """
    raw = read_segmentation(path)
    return raw.numbers(), raw.grid


def read_truth(path: Path, grid: Grid, *, mask_grid: str = "auto") -> Labels:
    """Read expert labels onto another image's grid by nearest-neighbour interpolation.

    Args:
        path: file of the labels.
        grid: grid of the image.
        mask_grid: what to do where the labels' header contradicts the image's, see ``place_mask``.

    Raises:
        ScanError: the file cannot be used, or does not overlap with the grid.
    """
    return place_mask(read_segmentation(path), grid, mask_grid).labels()


def read_segmentation(source: ImageSource, *, orientation: str = "") -> RawImage:
    """Read a mask or a segmentation from a path or an image in memory.

    Unlike a scan it may be zero everywhere.

    Args:
        source: path or image in memory.
        orientation: direction of the axes, such as ``RAS``, if the header does not state it.

    Raises:
        ScanError: as :func:`~anomri.preprocessing.reading.scan_images.read_volume`.
    """
    with guarded(source_name(source, "mask"), expected="a complete label image"):
        raw = read_source(source, "mask", _read_slice_labels)
        refuse_non_finite(raw)
    return apply_orientation(raw, orientation) if orientation else raw


def _read_slice_labels(folder: Path) -> RawImage:
    if png_slice_files(folder):
        return read_png_slice_labels(folder)
    return read_tiff_slice_labels(folder)
