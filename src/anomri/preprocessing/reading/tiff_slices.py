"""Folders of TIFF slices, as in Kaggle's "LGG segmentation".

A slice ``<name>_<k>.tif`` holds three contrasts as its colours, ``<name>_<k>_mask.tif`` the
lesion. The files hold no voxel size and no orientation. Rows run from the front of the head to
its back and columns from the patient's right to the left, as radiologists look at a slice; k
grows upwards. The affine says just that, at one millimetre.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.errors import MissingContrast, UnreadableScan, WrongShape
from anomri.files import read_tiff, refuse_larger
from anomri.preprocessing.reading.raw_image import RawImage, spatial_shape
from anomri.scan import Affine, Grid, Note, NoteKind

CHANNELS = {"t1": 0, "flair": 1, "t1ce": 2}
MASK = re.compile(r"_(\d+)_mask\.tiff?$", re.IGNORECASE)
SLICE = re.compile(r"_(\d+)\.tiff?$", re.IGNORECASE)
LESION = 2  # the masks outline the FLAIR abnormality, which BraTS numbers as edema

SPACING_UNKNOWN = Note(NoteKind.VOXEL_SIZE, "the file holds no voxel size")


def slice_files(folder: Path, pattern: re.Pattern[str] = SLICE) -> list[Path]:
    """Return the files of ``folder`` that match, by slice number."""
    found = [(int(m[1]), path) for path in folder.iterdir() if (m := pattern.search(path.name))]
    return [path for _, path in sorted(found)]


def read_slices(folder: Path, contrast: str) -> RawImage:
    """Stack one contrast of a folder of slices.

    Raises:
        MissingContrast: the slices hold no such contrast.
        UnreadableScan: there are no slices, or one is damaged.
        WrongShape: the slices are not of one size, or not in colour.
    """
    if contrast not in CHANNELS:
        raise MissingContrast(
            folder.name,
            expected=f"one of {', '.join(CHANNELS)} in TIFF slices",
            got=f"'{contrast or 'no contrast'}' asked for",
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
    return _native(folder.name, stack[:, :, CHANNELS[contrast]].astype(np.float32))


def read_slice_labels(folder: Path) -> RawImage:
    """Stack the lesion masks of a folder of slices; 255 becomes label 2.

    Raises:
        UnreadableScan: there are no masks, or one is damaged.
    """
    stack = _stack(folder, MASK)
    return _native(folder.name, np.where(stack > 127, LESION, 0).astype(np.float32))


def _stack(folder: Path, pattern: re.Pattern[str]) -> NDArray[Any]:
    """Read every matching file; slices lie along the last axis."""
    files = slice_files(folder, pattern)
    if not files:
        raise UnreadableScan(
            folder.name,
            expected="an image file, or a folder of slices named <name>_<number>.tif",
            got="a folder without such slices",
            next_step="give the file itself, or convert DICOM with dcm2niix",
        )
    first = read_tiff(files[0])
    refuse_larger(folder, 2 * len(files) * first.nbytes)
    pages = [first, *(read_tiff(path) for path in files[1:])]
    if len({page.shape for page in pages}) > 1:
        raise WrongShape(
            folder.name,
            expected="slices of one size",
            got=", ".join(sorted({" x ".join(map(str, page.shape)) for page in pages})),
            next_step="keep one patient per folder",
        )
    return np.stack(pages, axis=-1)


def _native(name: str, values: NDArray[Any]) -> RawImage:
    shape = spatial_shape(values.shape, name)
    grid = Grid(shape=shape, affine=_upright(shape), sform_code=1)
    return RawImage(name, values, grid, spacing_known=False, notes=(SPACING_UNKNOWN,))


def _upright(shape: tuple[int, int, int]) -> Affine:
    """Rows to posterior, columns to left, slices to superior; the origin in the middle."""
    affine = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=float)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine
