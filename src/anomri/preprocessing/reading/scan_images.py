"""Images of any accepted source, in their own axis order: files, folders of slices, memory."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from anomri.files import guarded
from anomri.preprocessing.reading.in_memory import ImageSource, raw_image_of
from anomri.preprocessing.reading.nifti import name_in_memory, raw_image_of_nibabel, read_nifti
from anomri.preprocessing.reading.non_finite import replace_non_finite
from anomri.preprocessing.reading.nrrd import ENDING as NRRD
from anomri.preprocessing.reading.nrrd import read_nrrd
from anomri.preprocessing.reading.orientation import apply_orientation
from anomri.preprocessing.reading.png_slices import png_slice_files, read_png_slices
from anomri.preprocessing.reading.raw_image import RawImage, refuse_constant
from anomri.preprocessing.reading.tiff_slices import read_tiff_slices
from anomri.scan import Grid


def read_volume(
    path: Path, contrast: str = "", *, orientation: str = ""
) -> tuple[NDArray[np.float32], Grid]:
    """Read the values and the grid of one scan, in its file's own axis order.

    Args:
        path: NIfTI, Analyze, MGH or NRRD file, or a folder of TIFF or PNG slices.
        contrast: which channel to take from a folder of TIFF slices.
        orientation: direction of the axes, such as ``RAS``, if the header does not state it.

    Returns:
        (I, J, K) values with the header's scaling applied, and their grid.

    Raises:
        UnreadableScan: missing, truncated, not an image, or without permission.
        WrongShape: not three axes, colour, too few slices or absurdly large.
        BadIntensities: no finite value, or the same value in every voxel.
    """
    raw = read_image(path, contrast, orientation=orientation)
    return raw.values, raw.grid


def read_image(source: ImageSource, contrast: str = "", *, orientation: str = "") -> RawImage:
    """Read a scan from a path or an image in memory; see :func:`read_volume`.

    NaN and infinite voxels are replaced by the background's value, see
    :func:`~anomri.preprocessing.reading.non_finite.replace_non_finite`.
    """

    def read_slices(folder: Path) -> RawImage:
        if png_slice_files(folder):
            return read_png_slices(folder)
        return read_tiff_slices(folder, contrast)

    with guarded(source_name(source, contrast), expected="a complete image"):
        raw = read_source(source, contrast or "image", read_slices)
        raw = replace_non_finite(apply_orientation(raw, orientation))
        refuse_constant(raw.values, raw.name)
    return raw


def read_source(
    source: ImageSource, role: str, read_folder: Callable[[Path], RawImage]
) -> RawImage:
    """Read an image of any accepted source.

    Args:
        source: path or image in memory.
        role: name of an image in memory, for errors.
        read_folder: reads a folder of slices.

    Raises:
        UnreadableScan: not an accepted source, or not readable.
        WrongShape: not one number per voxel on three axes.
    """
    raw = raw_image_of(source, role)
    if raw is not None:
        return raw
    if isinstance(source, SpatialImage):
        return raw_image_of_nibabel(source, name_in_memory(source, role))
    path = Path(source)  # type: ignore[arg-type]
    if path.is_dir():
        return read_folder(path)
    return read_nrrd(path) if path.suffix.lower() == NRRD else read_nifti(path)


def source_name(source: ImageSource, role: str) -> str:
    """Return the name of a source of any type, for errors."""
    if isinstance(source, SpatialImage):
        return name_in_memory(source, role)
    return Path(source).name if isinstance(source, str | PathLike) else role or "image"
