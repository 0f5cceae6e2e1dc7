"""From oriented native voxels to the working grid, looking near the brain only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.resampling import index_map, masked_sample, sample
from anomri.scan import Affine, Grid, Labels, Mask, Volume

BOX_MARGIN = 6  # voxels around the brain that smoothing and interpolation may look at


@dataclass(frozen=True, slots=True)
class Frame:
    """The step from one grid to the other.

    Attributes:
        box: part of the oriented volume that is looked at.
        matrix: (4, 4) working index to index within the box.
        shape: of the working grid.
    """

    box: tuple[slice, slice, slice]
    matrix: Affine
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, brain: Mask, oriented: Grid, grid: Grid) -> Frame:
        """Look at the brain's box and a few voxels around it."""
        box = brain_box(brain, BOX_MARGIN)
        matrix = index_map(oriented, grid)
        matrix[:3, 3] -= [part.start for part in box]
        return cls(box, matrix, grid.shape)

    def image(self, volume: Volume, brain: Mask) -> Volume:
        """Return brain values on the working grid, 0 where there is no brain."""
        return masked_sample(volume[self.box], brain[self.box], self.matrix, self.shape)

    def mask(self, mask: Mask) -> Mask:
        """Return a mask on the working grid: its linear interpolation is at least 0.5."""
        part = mask[self.box].astype(np.float32)
        inside: Mask = sample(part, self.matrix, self.shape, linear=True) >= 0.5
        return inside

    def labels(self, labels: Labels) -> Labels:
        """Return label numbers on the working grid, each from the nearest voxel."""
        near: Labels = sample(labels[self.box], self.matrix, self.shape, linear=False)
        return near
