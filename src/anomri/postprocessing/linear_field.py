"""Linear bias field of one contrast: brighter towards one side, such as that of a coil.

The logarithm of the values is fitted by a plane. Fluid, lesions and the rim of the brain are left
out, so that a lesion on one side does not look like a field. N4 is finer and slower; it removes a
part of large lesions too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomri.postprocessing.morphology import deeper_than
from anomri.scan import Mask, Volume

Spacing = tuple[float, float, float]

RIM_MM = 4.0  # partial volume with fluid
TISSUE = (0.4, 1.8)  # times the brain's median: neither fluid nor a bright lesion
MAX_RESIDUAL = 2.2  # robust standard deviations from the plane
ITERATIONS = 6
EVERY = 7  # voxels; the plane has four parameters
MIN_VOXELS = 100


def without_linear_field(volume: Volume, brain: Mask, spacing: Spacing) -> Volume:
    """Return the brain without its linear bias field, and 0 outside.

    The values at the tissue's centre of mass are preserved. A brain without enough tissue away from
    its rim is returned as it is.

    Args:
        volume: (I, J, K), at least 0 in the brain.
        brain: (I, J, K) bool.
        spacing: mm along I, J, K.
    """
    inside: Volume = np.where(brain, volume, 0).astype(np.float32)
    index = np.argwhere(_tissue(volume, brain, spacing))[::EVERY]
    if len(index) < MIN_VOXELS:
        return inside
    centre = index.mean(axis=0)
    slope = _slope((index - centre) * spacing, np.log(volume[tuple(index.T)]))
    for axis, (length, mm) in enumerate(zip(volume.shape, spacing, strict=True)):
        field = np.exp((np.arange(length) - centre[axis]) * mm * slope[axis])
        inside /= field.astype(np.float32).reshape([-1 if n == axis else 1 for n in range(3)])
    return inside


def _tissue(volume: Volume, brain: Mask, spacing: Spacing) -> Mask:
    """Return the voxels away from the brain's rim that are neither fluid nor very bright."""
    if not brain.any():
        return brain
    low, high = (share * float(np.median(volume[brain])) for share in TISSUE)
    tissue: Mask = deeper_than(brain, RIM_MM, spacing) & (volume > low) & (volume < high)
    return tissue


def _slope(points_mm: NDArray[np.float64], logs: Volume) -> NDArray[np.float64]:
    """Return the (3,) slope per mm of the plane through most of the (N,) values."""
    columns = np.column_stack([np.ones(len(points_mm)), points_mm])
    kept = np.ones(len(logs), dtype=bool)
    coefficients: NDArray[np.float64] = np.zeros(4)
    for _ in range(ITERATIONS):
        coefficients = np.linalg.lstsq(columns[kept], logs[kept].astype(np.float64), rcond=None)[0]
        residuals = logs - columns @ coefficients
        centre = np.median(residuals[kept])
        spread = 1.4826 * np.median(np.abs(residuals[kept] - centre))
        near = np.abs(residuals - centre) <= MAX_RESIDUAL * spread
        if np.array_equal(near, kept):
            break
        kept = near
    slope: NDArray[np.float64] = coefficients[1:]
    return slope
