"""What the steps of post-processing hand on: one map on its way to a mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Self

import numpy as np

from anomri.errors import RecipeError
from anomri.scan import AnomalyMap, Mask, Volume

# Sigma of a normal distribution per median absolute deviation.
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class SegmentationState:
    """A map and the mask that is made of it.

    Attributes:
        values: (I, J, K) float32, higher is more abnormal.
        brain: (I, J, K) bool, where the values count; neither map nor mask reaches beyond it.
        spacing: mm along I, J, K.
        voxel_ml: volume of a voxel in ml.
        mask: (I, J, K) bool, once there is one.
    """

    values: Volume
    brain: Mask
    spacing: tuple[float, float, float]
    voxel_ml: float
    mask: Mask | None = None

    @classmethod
    def of(cls, anomaly: AnomalyMap) -> Self:
        """Combine the contrasts of ``anomaly`` that show one region by their maximum."""
        grid = anomaly.scan.grid
        return cls(anomaly.highest, anomaly.brain, grid.spacing, grid.voxel_ml)

    @property
    def lesion(self) -> Mask:
        """The mask, where a step cannot do without one.

        Raises:
            RecipeError: nothing has been decided yet.
        """
        if self.mask is None:
            raise RecipeError(
                "a mask step came before the decision. Next: move it from 'clean' to 'refine'."
            )
        return self.mask

    def with_values(self, values: Volume) -> Self:
        """Return a copy with other values, set to 0 outside the brain."""
        kept = np.where(self.brain, values, 0).astype(np.float32, copy=False)
        return replace(self, values=kept)

    def with_brain(self, brain: Mask) -> Self:
        """Return a copy with another brain, the values set to 0 outside it."""
        return replace(self, brain=brain).with_values(self.values)

    def with_mask(self, mask: Mask) -> Self:
        """Return a copy with another mask, cut to the brain."""
        return replace(self, mask=mask & self.brain)

    def voxels_in(self, ml: float) -> int:
        """Fewest whole voxels that fill ``ml``; a hundredth of a voxel is forgiven.

        >>> empty = np.zeros((1, 1, 1), np.float32)
        >>> SegmentationState(empty, empty > 0, (1.5, 1.5, 1.0), 0.00225).voxels_in(0.45)
        200
        """
        return ceil(ml / self.voxel_ml - 0.01)

    def centre_and_spread(self) -> tuple[float, float]:
        """Return median and 1.4826·MAD of the values inside the brain.

        Where more than half of the values are equal the MAD is 0, and the standard deviation
        takes its place; it may be 0 too. Without any brain both are 0.
        """
        inside = self.values[self.brain]
        if not inside.size:
            return 0.0, 0.0
        centre = float(np.median(inside))
        spread = MAD_TO_SIGMA * float(np.median(np.abs(inside - centre)))
        return centre, spread or float(inside.std(dtype=np.float64))
