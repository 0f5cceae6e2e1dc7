"""Labels on the voxels of another contrast of the same session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomri.preprocessing.alignment import align_contrast
from anomri.preprocessing.grids import volume_to_ras
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.reading.scan_images import read_image
from anomri.preprocessing.resampling import index_map, sample
from anomri.scan import Grid, Mask


def labels_on_contrast(
    labels: NDArray[np.uint8], brain: Mask, reference: Path, contrast: Path
) -> tuple[NDArray[np.uint8], Grid]:
    """Return labels on the grid of another contrast, which is registered to their own first.

    Args:
        labels: (I, J, K) on the grid of ``reference``, in its file's axis order.
        brain: likewise.
        reference: file of the contrast that the labels were made of.
        contrast: file of the other contrast.

    Returns:
        The labels by nearest-neighbour interpolation, and the grid of ``contrast``.

    Raises:
        ScanError: a file cannot be used, or the two do not show one head.
    """
    own, other = read_image(reference), read_image(contrast)
    aligned, _ = align_contrast(other, own, _ras(own), volume_to_ras(brain, own.grid))
    matrix = index_map(own.grid, aligned.grid)
    return sample(labels, matrix, other.grid.shape, linear=False), other.grid


def _ras(image: RawImage) -> NDArray[np.float32]:
    return volume_to_ras(image.values, image.grid).astype(np.float32)
