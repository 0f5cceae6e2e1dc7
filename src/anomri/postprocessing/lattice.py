"""A coarse lattice of voxels, for what varies over centimetres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LATTICE_MM = 4.0


def lattice(shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[NDArray[np.intp]]:
    """Return the voxels along each axis that are about ``LATTICE_MM`` apart.

    They are the same from both ends, so that a flipped image is sampled at the same places.

    >>> [places.tolist() for places in lattice((10, 2), (2.0, 6.0))]
    [[0, 2, 4, 5, 7, 9], [0, 1]]
    """
    return [_places(length, side) for length, side in zip(shape, spacing, strict=True)]


def _places(length: int, side: float) -> NDArray[np.intp]:
    half = np.arange(0, (length + 1) // 2, max(1, round(LATTICE_MM / side)))
    return np.union1d(half, length - 1 - half)
