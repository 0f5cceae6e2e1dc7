"""The way home: from the working grid back to the input file's own voxels and axis order."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from anomri.preprocessing.resampling import index_map, sample
from anomri.scan import Mask, Scan, Volume

Number = TypeVar("Number", np.uint8, np.int32)


def to_native(volume: Volume, scan: Scan) -> Volume:
    """Return (I, J, K) values of the working grid on ``scan.native``, linearly; 0 outside."""
    matrix = index_map(scan.grid, scan.native)
    values: Volume = sample(volume, matrix, scan.native.shape, linear=True)
    return values.astype(np.float32, copy=False)


def mask_to_native(mask: Mask, scan: Scan) -> Mask:
    """Return a mask on ``scan.native``: True where its linear interpolation is at least 0.5."""
    return to_native(mask.astype(np.float32), scan) >= 0.5


def numbers_to_native(numbers: NDArray[np.int32], mask: Mask, scan: Scan) -> NDArray[np.int32]:
    """Return the numbers of lesions on ``scan.native``.

    Args:
        numbers: (I, J, K) on the working grid, 0 where no lesion is.
        mask: of all lesions, from :func:`mask_to_native`. Each of its voxels takes the number at
            its place, and the nearest one where the working grid has none there.
        scan: whose grids they are.
    """
    home = labels_to_native(numbers, scan) * mask
    unnumbered = np.argwhere(mask & (home == 0))
    numbered = np.argwhere(home)
    if len(unnumbered) and len(numbered):
        tree = KDTree(numbered * scan.native.spacing)
        nearest = numbered[tree.query(unnumbered * scan.native.spacing)[1]]
        home[tuple(unnumbered.T)] = home[tuple(nearest.T)]
    return home


def slices_to_native(scores: NDArray[np.float64], scan: Scan) -> NDArray[np.float64]:
    """Return (K,) numbers of axial slices as those of the axial slices of ``scan.native``.

    Each native slice takes that of the nearest one at its centre, NaN where there is none. The
    native axis is the last of ``scan.native.axial_last``.
    """
    native = scan.native
    axis = native.axial_last[2]
    centres = np.tile((np.array(native.shape) - 1) / 2, (native.shape[axis], 1))
    centres[:, axis] = np.arange(native.shape[axis])
    matrix = index_map(scan.grid, native)
    nearest = np.rint(centres @ matrix[2, :3] + matrix[2, 3]).astype(int)
    there = (nearest >= 0) & (nearest < scores.size)
    return np.where(there, scores[nearest.clip(0, scores.size - 1)], np.nan)


def labels_to_native(labels: NDArray[Number], scan: Scan) -> NDArray[Number]:
    """Return label numbers on ``scan.native``, each from the nearest voxel."""
    matrix = index_map(scan.grid, scan.native)
    home: NDArray[Number] = sample(labels, matrix, scan.native.shape, linear=False)
    return home
