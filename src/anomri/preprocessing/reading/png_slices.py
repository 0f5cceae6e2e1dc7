"""Folders of greyscale PNG slices, one contrast per folder, as in BrainMetShare.

``<k>.png`` is slice k. The files hold neither voxel size nor orientation. The data set's paper
gives 0.94 mm within and 1 mm between slices (Groevik et al. 2020). Rows are assumed to run to
posterior, columns to the patient's left and k to superior, which nothing in the files proves.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomri.errors import WrongShape
from anomri.files import read_png
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.reading.slice_stacks import (
    numbered_files,
    radiological_image,
    stack_slices,
)
from anomri.scan import Note, NoteKind

SLICE = re.compile(r"^(\d+)\.png\Z", re.IGNORECASE)
SPACING_MM = (0.94, 0.94, 1.0)
GREYSCALE_MODES = ("L", "1", "I", "I;16", "P")
NOTE = Note(
    NoteKind.GEOMETRY,
    "PNG slices have no voxel size and no orientation: left and right are a guess",
)


def png_slice_files(folder: Path) -> list[Path]:
    """Return the PNG slices of a folder, sorted by number; empty where there are none."""
    return numbered_files(folder, SLICE)


def read_png_slices(folder: Path) -> RawImage:
    """Stack the slices of a folder.

    Raises:
        UnreadableScan: a slice is damaged.
        WrongShape: the slices are in colour, of different sizes, or too few.
    """
    values = stack_slices(png_slice_files(folder), _read_slice)
    return radiological_image(folder.name, values, SPACING_MM, NOTE)


def read_png_slice_labels(folder: Path) -> RawImage:
    """Stack the mask slices of a folder; white becomes label 1.

    Raises:
        ScanError: as :func:`read_png_slices`.
    """
    image = read_png_slices(folder)
    return image.with_values((image.values > 0).astype(np.float32))


def _read_slice(path: Path) -> NDArray[np.float32]:
    plane, mode = read_png(path)
    if mode not in GREYSCALE_MODES or plane.ndim != 2:
        raise WrongShape(
            path.name,
            expected="greyscale slices",
            got=f"an image with colours ({mode})",
            next_step="give the folder of one sequence as downloaded",
        )
    return plane.astype(np.float32)
