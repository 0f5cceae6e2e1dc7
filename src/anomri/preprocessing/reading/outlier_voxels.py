"""Outlier voxels: a few impossible values must not determine the scale of all others."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from anomri.preprocessing.percentiles import percentiles
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.scan import Note, NoteKind

PERCENTILES = (5, 95)  # robust: outliers may be a hundredth of the foreground
MAX_DISTANCE = 40.0  # beyond these percentiles, in multiples of their distance
MAX_FRACTION = 0.01  # of the voxels; more are not outliers


def replace_outlier_voxels(image: RawImage) -> RawImage:
    """Replace outlier voxels with the median of their 26 neighbours, and note how many.

    An outlier lies beyond the 5th or 95th percentile of the foreground by more than forty times
    the distance between the two. In 137 real scans there is none.
    """
    values = image.values
    lowest, highest = float(values.min()), float(values.max())
    subsample = values[::2, ::2, ::2]
    background = np.median(subsample[[0, -1]])
    foreground = subsample[subsample != background]
    if not foreground.size:
        return image
    low, high = (float(v) for v in percentiles(foreground, PERCENTILES))
    margin = MAX_DISTANCE * (high - low)
    # The background is not an outlier, however far it is from the foreground.
    low, high = min(low, float(background)) - margin, max(high, float(background)) + margin
    if margin == 0 or (low <= lowest and highest <= high):
        return image
    index = np.argwhere((values < low) | (values > high))
    if len(index) > MAX_FRACTION * values.size:
        return image
    repaired = values.copy()
    repaired[tuple(index.T)] = _neighbour_median(values, index, low, high)
    count = f"{len(index)} voxel{'s' if len(index) > 1 else ''}"
    text = (
        f"{image.name}: {count} far outside the range of all others, replaced by the local median"
    )
    note = Note(NoteKind.INTENSITIES, text)
    return replace(image, values=repaired, notes=(*image.notes, note))


def _neighbour_median(
    values: NDArray[np.float32], index: NDArray[np.intp], low: float, high: float
) -> NDArray[np.float32]:
    """Return the median of each voxel's neighbours, without outliers among them.

    Args:
        values: (I, J, K).
        index: (N, 3) indices of the outliers.
        low: values below it are outliers.
        high: values above it are outliers.

    Returns:
        (N,) medians; ``low`` where all neighbours are outliers.
    """
    offsets = np.array([offset for offset in product((-1, 0, 1), repeat=3) if any(offset)])
    positions = (index[:, None] + offsets).clip(0, np.array(values.shape) - 1)
    near = values[tuple(np.moveaxis(positions, -1, 0))]
    near = np.where((near < low) | (near > high), np.nan, near)
    median = np.nanmedian(np.where(np.isnan(near).all(axis=1, keepdims=True), low, near), axis=1)
    result: NDArray[np.float32] = median.astype(np.float32)
    return result
