"""The map and mask that the postprocessing steps pass on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Self

import numpy as np
from numpy.typing import NDArray

from anomri.errors import RecipeError
from anomri.scan import AnomalyMap, Mask, Volume

# Standard deviation of a normal distribution divided by its median absolute deviation.
MAD_TO_SIGMA = 1.4826


def median_of(values: NDArray[np.floating]) -> float:
    """Return the median of (N,) values without NaN, of which there is at least one.

    The same as NumPy's, which takes half as long again because it looks for NaN.
    """
    half = values.size // 2
    ordered = np.partition(values, half)
    if values.size % 2:
        return float(ordered[half])
    return float((ordered[:half].max() + ordered[half]) / values.dtype.type(2))


@dataclass(frozen=True, slots=True)
class SegmentationState:
    """An anomaly map and its mask.

    Attributes:
        values: (I, J, K) float32, higher is more abnormal; 0 outside the brain.
        brain: (I, J, K) bool; the mask lies within it.
        spacing: mm along I, J, K.
        voxel_ml: volume of a voxel in ml.
        mask: (I, J, K) bool; None before segmentation.
        margin: (I, J, K) float32, how much brighter than the border of its lesion a voxel is; None
            where the segmentation method does not say. On a finer grid the border is where it is 0.
    """

    values: Volume
    brain: Mask
    spacing: tuple[float, float, float]
    voxel_ml: float
    mask: Mask | None = None
    margin: Volume | None = None

    @classmethod
    def of(cls, anomaly: AnomalyMap) -> Self:
        """Start from the maximum of ``anomaly`` over its contrasts, without a mask."""
        grid = anomaly.scan.grid
        return cls(anomaly.highest, anomaly.brain, grid.spacing, grid.voxel_ml)

    @classmethod
    def segmented(cls, anomaly: AnomalyMap, mask: Mask, margin: Volume | None = None) -> Self:
        """Return a map and its mask on the whole brain, at whose rim the map is 0.

        Args:
            anomaly: the map.
            mask: (I, J, K).
            margin: (I, J, K), if known.
        """
        whole = cls.of(anomaly).with_wider_brain(anomaly.scan.brain).with_mask(mask)
        return replace(whole, margin=margin)

    @property
    def lesion(self) -> Mask:
        """The mask, for steps that require one.

        Raises:
            RecipeError: the map has not been segmented yet.
        """
        if self.mask is None:
            raise RecipeError(
                "a mask step came before the segmentation. Next: move it from 'clean' to 'refine'."
            )
        return self.mask

    def with_values(self, values: Volume) -> Self:
        """Return a copy with new values, set to 0 outside the brain."""
        inside = np.where(self.brain, values, 0).astype(np.float32, copy=False)
        return replace(self, values=inside)

    def with_brain(self, brain: Mask) -> Self:
        """Return a copy with a new brain mask; values outside it are set to 0."""
        return replace(self, brain=brain).with_values(self.values)

    def with_wider_brain(self, brain: Mask) -> Self:
        """Return a copy with a brain that holds the present one, at whose rim the values are 0."""
        return replace(self, brain=brain)

    def with_mask(self, mask: Mask) -> Self:
        """Return a copy with a new mask, restricted to the brain."""
        return replace(self, mask=mask & self.brain)

    def voxels_in(self, ml: float) -> int:
        """Return the number of whole voxels that fill ``ml``, rounded up.

        A hundredth of a voxel is tolerated.

        >>> empty = np.zeros((1, 1, 1), np.float32)
        >>> SegmentationState(empty, empty > 0, (1.5, 1.5, 1.0), 0.00225).voxels_in(0.45)
        200
        """
        return ceil(ml / self.voxel_ml - 0.01)

    def centre_and_spread(self) -> tuple[float, float]:
        """Return median and 1.4826·MAD of the values inside the brain.

        If more than half of the values are equal the MAD is 0, and the standard deviation, which
        may be 0 too, is returned instead. Both are 0 for an empty brain.
        """
        inside = self.values[self.brain]
        if not inside.size:
            return 0.0, 0.0
        centre = median_of(inside)
        spread = MAD_TO_SIGMA * median_of(np.abs(inside - centre))
        return centre, spread or float(inside.std(dtype=np.float64))
