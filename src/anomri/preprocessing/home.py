"""The way home: from the working grid back to the input file's own voxels and axis order."""

from __future__ import annotations

import numpy as np

from anomri.preprocessing.resampling import index_map, sample
from anomri.scan import Labels, Mask, Scan, Volume


def to_native(volume: Volume, scan: Scan) -> Volume:
    """Return (I, J, K) values of the working grid on ``scan.native``, linearly; 0 outside."""
    matrix = index_map(scan.grid, scan.native)
    values: Volume = sample(volume, matrix, scan.native.shape, linear=True)
    return values.astype(np.float32, copy=False)


def mask_to_native(mask: Mask, scan: Scan) -> Mask:
    """Return a mask on ``scan.native``: True where its linear interpolation is at least 0.5."""
    return to_native(mask.astype(np.float32), scan) >= 0.5


def labels_to_native(labels: Labels, scan: Scan) -> Labels:
    """Return label numbers on ``scan.native``, each from the nearest voxel."""
    matrix = index_map(scan.grid, scan.native)
    home: Labels = sample(labels, matrix, scan.native.shape, linear=False)
    return home
