"""Resampling from the working grid back to the input file's own voxels and axis order."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.nearest_label import nearest_labels
from anomri.preprocessing.resampling import index_map, sample, sample_mask
from anomri.scan import Mask, Scan, Volume

Number = TypeVar("Number", np.uint8, np.uint16, np.int32)

LEAST_MARGIN = 0.01  # of voxels whose side of the border another step decided


def volume_to_native(volume: Volume, scan: Scan) -> Volume:
    """Return (I, J, K) values on ``scan.native`` by linear interpolation; 0 outside the grid."""
    matrix = index_map(scan.grid, scan.native)
    values: Volume = sample(volume, matrix, scan.native.shape, linear=True, layout="F")
    return values.astype(np.float32, copy=False)


def mask_to_native(mask: Mask, scan: Scan, margin: Volume | None = None) -> Mask:
    """Return a mask on ``scan.native`` by linear interpolation.

    Args:
        mask: (I, J, K) on the working grid.
        scan: the scan of both grids.
        margin: (I, J, K), how much brighter than the border of its lesion each voxel is: the border
            is then where it is 0 between voxels. Without it, it is where the mask is one half.
    """
    matrix = index_map(scan.grid, scan.native)
    if margin is None:
        return sample_mask(mask, matrix, scan.native.shape, layout="F")
    signed = _signed(mask, margin)
    inside: Mask = sample(signed, matrix, scan.native.shape, linear=True, layout="F") > 0
    return inside


def _signed(mask: Mask, margin: Volume) -> Volume:
    """Return the margin, positive in the mask, negative next to it and 0 elsewhere."""
    near = ndimage.binary_dilation(mask, np.ones((3, 3, 3), bool))
    outside = np.where(near, np.minimum(margin, -LEAST_MARGIN), 0)
    signed: Volume = np.where(mask, np.maximum(margin, LEAST_MARGIN), outside).astype(np.float32)
    return signed


def labels_to_native(labels: NDArray[Number], scan: Scan) -> NDArray[Number]:
    """Return label numbers (I, J, K) on ``scan.native`` by nearest-neighbour interpolation."""
    matrix = index_map(scan.grid, scan.native)
    shape = scan.native.shape
    native: NDArray[Number] = sample(labels, matrix, shape, linear=False, layout="F")
    return native


def lesion_numbers_to_native(numbers: NDArray[Number], mask: Mask, scan: Scan) -> NDArray[Number]:
    """Return the numbers of lesions on ``scan.native``.

    Args:
        numbers: (I, J, K) on the working grid, 0 outside lesions.
        mask: of all lesions on ``scan.native``, from :func:`mask_to_native`. Each of its voxels
            gets the number at its position, or the nearest number where that is 0.
        scan: the scan of both grids.
    """
    native = labels_to_native(numbers, scan)
    native *= mask
    if mask.any():
        box = brain_box(mask)
        native[box] = nearest_labels(native[box], mask[box], scan.native.spacing)
    return native


def slice_scores_to_native(scores: NDArray[np.float64], scan: Scan) -> NDArray[np.float64]:
    """Return the scores of axial working slices as scores of axial native slices.

    Each native slice takes the score of the working slice nearest to its centre. The native slice
    axis is the last of ``scan.native.axial_last``.

    Args:
        scores: (K,), one per axial slice of ``scan.grid``.
        scan: the scan of both grids.

    Returns:
        One score per native slice, NaN where there is no working slice.
    """
    native = scan.native
    axis = native.axial_last[2]
    centres = np.tile((np.array(native.shape) - 1) / 2, (native.shape[axis], 1))
    centres[:, axis] = np.arange(native.shape[axis])
    matrix = index_map(scan.grid, native)
    nearest = np.rint(centres @ matrix[2, :3] + matrix[2, 3]).astype(int)
    covered = (nearest >= 0) & (nearest < scores.size)
    return np.where(covered, scores[nearest.clip(0, scores.size - 1)], np.nan)
