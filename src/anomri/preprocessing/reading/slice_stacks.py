"""Stacks of 2-D slices, whose files hold neither voxel size nor orientation."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.errors import WrongShape
from anomri.files import refuse_larger
from anomri.preprocessing.reading.raw_image import RawImage, centred_affine, spatial_shape
from anomri.scan import Grid, Note


def numbered_files(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Return the files of a folder that match a pattern, sorted by the number in its group."""
    found = [(int(m[1]), path) for path in folder.iterdir() if (m := pattern.search(path.name))]
    return [path for _, path in sorted(found)]


def stack_slices(files: Sequence[Path], read: Callable[[Path], NDArray[Any]]) -> NDArray[Any]:
    """Read slices and stack them along a new last axis.

    Raises:
        UnreadableScan: a slice is damaged.
        WrongShape: the slices are of different sizes.
    """
    folder, first = files[0].parent, read(files[0])
    refuse_larger(folder, 2 * len(files) * first.nbytes)
    slices = [first, *(read(path) for path in files[1:])]
    if len({plane.shape for plane in slices}) > 1:
        raise WrongShape(
            folder.name,
            expected="slices of one size",
            got=", ".join(sorted({" x ".join(map(str, plane.shape)) for plane in slices})),
            next_step="keep one sequence of one patient per folder",
        )
    return np.stack(slices, axis=-1)


def radiological_image(
    name: str, values: NDArray[Any], spacing_mm: tuple[float, float, float], note: Note
) -> RawImage:
    """Return a stack of slices in the radiological view.

    Rows run to posterior, columns to the patient's left, slices to superior; the origin is in the
    centre.

    Args:
        name: of the folder.
        values: (rows, columns, slices).
        spacing_mm: assumed spacing along the axes.
        note: remark on what is assumed.
    """
    shape = spatial_shape(values.shape, name)
    i, j, k = spacing_mm
    affine = centred_affine(np.array([[0, -j, 0], [-i, 0, 0], [0, 0, k]]), shape)
    grid = Grid(shape=shape, affine=affine, sform_code=1)
    return RawImage(name, values, grid, spacing_known=False, notes=(note,))
