"""Folders of TIFF slices, as in Kaggle's "LGG segmentation".

A slice ``<name>_<k>.tif`` holds three contrasts as its colour channels, ``<name>_<k>_mask.tif`` the
lesion. The files hold neither voxel size nor orientation. Rows run from anterior to posterior and
columns from the patient's right to left, the radiological view; k increases to superior. The affine
states this with voxels of 1 mm.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.errors import MissingContrast, UnreadableScan, WrongShape
from anomri.files import read_tiff
from anomri.preprocessing.reading.raw_image import SPACING_UNKNOWN, RawImage
from anomri.preprocessing.reading.slice_stacks import (
    numbered_files,
    radiological_image,
    stack_slices,
)

CHANNELS = {"t1": 0, "flair": 1, "t1ce": 2}
MASK = re.compile(r"_(\d+)_mask\.tiff?$", re.IGNORECASE)
SLICE = re.compile(r"_(\d+)\.tiff?$", re.IGNORECASE)
LESION = 2  # the masks outline the FLAIR abnormality, which BraTS numbers as edema
SPACING_MM = (1.0, 1.0, 1.0)


def read_tiff_slices(folder: Path, contrast: str) -> RawImage:
    """Stack one contrast of the slices of a folder.

    Raises:
        MissingContrast: the slices do not hold this contrast.
        UnreadableScan: there are no slices, or one is damaged.
        WrongShape: the slices are of different sizes, or not in colour.
    """
    if contrast not in CHANNELS:
        raise MissingContrast(
            folder.name,
            expected=f"one of {', '.join(CHANNELS)} in TIFF slices",
            got=f"a request for '{contrast or 'no contrast'}'",
            next_step="choose a model for one of these contrasts",
        )
    stack = _stack(folder, SLICE)
    if stack.ndim != 4 or stack.shape[2] < 3:
        raise WrongShape(
            folder.name,
            expected="slices with three colours",
            got=" x ".join(map(str, stack.shape[:-1])),
            next_step="give the folder of one patient as downloaded",
        )
    values = stack[:, :, CHANNELS[contrast]].astype(np.float32)
    return radiological_image(folder.name, values, SPACING_MM, SPACING_UNKNOWN)


def read_tiff_slice_labels(folder: Path) -> RawImage:
    """Stack the mask slices of a folder; 255 becomes label 2.

    Raises:
        UnreadableScan: there are no masks, or one is damaged.
    """
    stack = _stack(folder, MASK)
    values = np.where(stack > 127, LESION, 0).astype(np.float32)
    return radiological_image(folder.name, values, SPACING_MM, SPACING_UNKNOWN)


def _stack(folder: Path, pattern: re.Pattern[str]) -> NDArray[Any]:
    files = numbered_files(folder, pattern)
    if not files:
        raise UnreadableScan(
            folder.name,
            expected="an image file, or a folder of slices named <name>_<number>.tif",
            got="a folder without such slices",
            next_step="give the file itself, or convert DICOM with dcm2niix",
        )
    return stack_slices(files, read_tiff)
