"""Folders of grey PNG slices, one contrast per folder, as BrainMetShare was published.

``<k>.png`` is slice k. The files hold no voxel size and no orientation. The data set's own paper
gives 0.94 mm in the slice and 1 mm between slices (Groevik et al. 2020); rows are taken to run to
the back, columns to the patient's left and k upwards, which nothing in the files proves.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomri.errors import WrongShape
from anomri.files import read_png, refuse_larger
from anomri.preprocessing.reading.raw_image import RawImage, spatial_shape
from anomri.scan import Grid, Note, NoteKind

PICTURE = re.compile(r"(\d+)\.png", re.IGNORECASE)
SPACING_MM = (0.94, 0.94, 1.0)
GREY = ("L", "1", "I", "I;16", "P")
NOTE = Note(NoteKind.GEOMETRY, "PNG slices hold no voxel size and no orientation: left is a guess")


def picture_files(folder: Path) -> list[Path]:
    """Return the PNG slices of a folder by number; none where it holds no such slices."""
    found = [(int(m[1]), path) for path in folder.iterdir() if (m := PICTURE.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def read_pictures(folder: Path) -> RawImage:
    """Stack a folder of grey slices.

    Raises:
        UnreadableScan: one is damaged.
        WrongShape: the slices are in colour, not of one size, or too few.
    """
    files = picture_files(folder)
    first = _page(files[0])
    refuse_larger(folder, 2 * len(files) * first.nbytes)
    pages = [first, *(_page(path) for path in files[1:])]
    if len({page.shape for page in pages}) > 1:
        raise WrongShape(
            folder.name,
            expected="slices of one size",
            got=", ".join(sorted({" x ".join(map(str, page.shape)) for page in pages})),
            next_step="keep one sequence of one patient per folder",
        )
    values = np.stack(pages, axis=-1)
    shape = spatial_shape(values.shape, folder.name)
    across, down, up = SPACING_MM
    affine = np.array([[0, -across, 0, 0], [-down, 0, 0, 0], [0, 0, up, 0], [0, 0, 0, 1.0]])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    grid = Grid(shape=shape, affine=affine, sform_code=1)
    return RawImage(folder.name, values, grid, spacing_known=False, notes=(NOTE,))


def read_picture_labels(folder: Path) -> RawImage:
    """Stack the masks of a folder; white becomes label 1.

    Raises:
        ScanError: as :func:`read_pictures`.
    """
    native = read_pictures(folder)
    return RawImage(
        native.name,
        np.where(native.values > 0, 1, 0).astype(np.float32),
        native.grid,
        spacing_known=False,
        notes=native.notes,
    )


def _page(path: Path) -> NDArray[np.float32]:
    page, mode = read_png(path)
    if mode not in GREY or page.ndim != 2:
        raise WrongShape(
            path.name,
            expected="grey slices",
            got=f"a picture with colours ({mode})",
            next_step="give the folder of one sequence as downloaded",
        )
    return page.astype(np.float32)
