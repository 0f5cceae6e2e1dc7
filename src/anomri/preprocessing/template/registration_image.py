"""What a registration looks at: a part of a scan on a coarse grid along the world's axes.

However the scan's own axes turn, flip or shear, the picture does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.resampling import index_map, sample
from anomri.scan import Grid, Mask, Volume

BORDER_MM = 15.0
RANGE = (0.5, 99.5)  # percentiles between which values count


@dataclass(frozen=True, slots=True)
class RegistrationImage:
    """A part of a scan.

    Attributes:
        values: (I, J, K) float32.
        mask: (I, J, K) bool, what is looked at.
        grid: along the world's axes.
        field: the scan's own grid: beyond it nothing was seen.
    """

    values: Volume
    mask: Mask
    grid: Grid
    field: Grid

    @property
    def image(self) -> SimpleITK.Image:
        """The values where they lie, in millimetres of right, anterior and superior."""
        return self._as_image(self.values)

    @property
    def mask_image(self) -> SimpleITK.Image:
        """The mask, likewise."""
        return self._as_image(self.mask.astype(np.uint8))

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) world mm of the mask's centre of mass."""
        return self.grid.to_world(np.argwhere(self.mask).mean(axis=0))

    @property
    def seen_image(self) -> SimpleITK.Image:
        """What the field of view holds, likewise."""
        return self._as_image(within(self.field, self.grid).astype(np.uint8))

    def _as_image(self, array: NDArray[np.generic]) -> SimpleITK.Image:
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
        image.SetSpacing(self.grid.spacing)
        image.SetOrigin(tuple(float(mm) for mm in self.grid.affine[:3, 3]))
        return image


def coarse(
    volume: Volume, mask: Mask, grid: Grid, *, side_mm: float, around: bool
) -> RegistrationImage:
    """Return the part of a scan that a mask marks.

    Args:
        volume: (I, J, K).
        mask: (I, J, K).
        grid: where they lie.
        side_mm: voxel side of the result.
        around: keep the values around the mask; else they become the lowest inside it.
    """
    low, high = np.percentile(volume[mask], RANGE)
    values = volume if around else np.where(mask, volume, low)
    target = _world_grid(mask, grid, side_mm)
    # Nothing beyond the mask's box is looked at; its border holds what interpolation needs.
    box = brain_box(mask, int(np.ceil(BORDER_MM / min(grid.spacing))) if around else 1)
    matrix = index_map(grid, target)
    matrix[:3, 3] -= [part.start for part in box]
    blur = [_sigma(side_mm / mm) for mm in grid.spacing]
    shape = target.shape

    def moved(array: NDArray[np.generic], lowest: float) -> Volume:
        smooth = ndimage.gaussian_filter(array[box].astype(np.float32) - np.float32(lowest), blur)
        placed: Volume = sample(smooth, matrix, shape, linear=True)
        return placed + np.float32(lowest)

    inside = moved(mask, 0.0) >= 0.5
    return RegistrationImage(moved(values.clip(low, high), float(low)), inside, target, grid)


def _sigma(step: float) -> float:
    return float(np.sqrt(step * step - 1) / 2.355) if step > 1 else 0.0


def _world_grid(mask: Mask, grid: Grid, side_mm: float) -> Grid:
    """Return the grid that holds a mask with a border."""
    ends = [(part.start, part.stop - 1) for part in brain_box(mask)]
    corners = grid.to_world(np.array(list(product(*ends)), dtype=np.float64))
    low, high = corners.min(axis=0) - BORDER_MM, corners.max(axis=0) + BORDER_MM
    i, j, k = (int(n) for n in np.ceil((high - low) / side_mm) + 1)
    affine = np.diag([side_mm, side_mm, side_mm, 1.0])
    affine[:3, 3] = low
    return Grid(shape=(i, j, k), affine=affine)


def within(field: Grid, target: Grid) -> Mask:
    """Say which voxels of ``target`` lie in ``field``, up to half a voxel beyond its centres."""
    matrix = index_map(field, target).astype(np.float32)
    index = np.moveaxis(np.indices(target.shape, dtype=np.float32), 0, -1)
    source = index @ matrix[:3, :3].T + matrix[:3, 3]
    inside = (source >= -0.5) & (source <= np.array(field.shape) - 0.5)
    return np.asarray(inside.all(axis=-1))
