"""Registration images: part of a scan, resampled to a coarse grid along the world's axes.

The world's axes make a registration independent of how the scan's own axes turn, flip or shear.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.percentiles import percentiles
from anomri.preprocessing.resampling import (
    Smoothing,
    anti_alias_sigma,
    index_map,
    sample_smoothed,
)
from anomri.scan import Grid, Mask, Volume

BORDER_MM = 15.0
RANGE = (0.5, 99.5)  # percentiles that values are clipped to


@dataclass(frozen=True, slots=True)
class RegistrationImage:
    """Part of a scan on a grid along the world's axes.

    Attributes:
        values: (I, J, K) float32.
        mask: (I, J, K) bool, the voxels to register.
        grid: grid of both, along the world's axes.
        scan_grid: the scan's own grid, which bounds the field of view.
    """

    values: Volume
    mask: Mask
    grid: Grid
    scan_grid: Grid

    @property
    def image(self) -> SimpleITK.Image:
        """The values as an ITK image in RAS+ mm."""
        return self._as_image(self.values)

    @property
    def mask_image(self) -> SimpleITK.Image:
        """The mask as an ITK image in RAS+ mm."""
        return self._as_image(self.mask.astype(np.uint8))

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) centre of mass of the mask in world mm."""
        return self.grid.to_world(np.argwhere(self.mask).mean(axis=0))

    @property
    def field_of_view_image(self) -> SimpleITK.Image:
        """The scan's field of view as an ITK mask in RAS+ mm."""
        return self._as_image(inside_field_of_view(self.scan_grid, self.grid).astype(np.uint8))

    def _as_image(self, array: NDArray[np.generic]) -> SimpleITK.Image:
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
        image.SetSpacing(self.grid.spacing)
        image.SetOrigin(tuple(float(mm) for mm in self.grid.affine[:3, 3]))
        return image


def make_registration_image(
    volume: Volume, mask: Mask, grid: Grid, spacing_mm: float, *, keep_surroundings: bool = False
) -> RegistrationImage:
    """Resample the masked part of a scan for registration.

    Args:
        volume: (I, J, K).
        mask: (I, J, K) bool.
        grid: grid of both.
        spacing_mm: isotropic voxel size of the result.
        keep_surroundings: keep the values around the mask; otherwise they are set to the lowest
            value inside it.
    """
    low, high = percentiles(volume[mask], RANGE)
    target = _world_grid(mask, grid, spacing_mm)
    # Only the mask's box is resampled, with the border that interpolation needs.
    margin = int(np.ceil(BORDER_MM / min(grid.spacing))) if keep_surroundings else 1
    box = brain_box(mask, margin)
    volume, mask = volume[box], mask[box]
    values = volume if keep_surroundings else np.where(mask, volume, low)
    matrix = index_map(grid, target)
    matrix[:3, 3] -= [part.start for part in box]
    smoothing = Smoothing([anti_alias_sigma(spacing_mm / mm) for mm in grid.spacing])

    def resample(array: NDArray[np.generic], background: float) -> Volume:
        shifted = array.astype(np.float32) - np.float32(background)
        resampled = sample_smoothed(shifted, smoothing, matrix, target.shape)
        return resampled + np.float32(background)

    inside = resample(mask, 0.0) >= 0.5
    return RegistrationImage(resample(values.clip(low, high), float(low)), inside, target, grid)


def _world_grid(mask: Mask, grid: Grid, spacing_mm: float) -> Grid:
    """Return an isotropic grid along the world's axes that encloses a mask with a border."""
    ends = [(part.start, part.stop - 1) for part in brain_box(mask)]
    corners = grid.to_world(np.array(list(product(*ends)), dtype=np.float64))
    low, high = corners.min(axis=0) - BORDER_MM, corners.max(axis=0) + BORDER_MM
    i, j, k = (int(n) for n in np.ceil((high - low) / spacing_mm) + 1)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low
    return Grid(shape=(i, j, k), affine=affine)


def inside_field_of_view(scan_grid: Grid, target: Grid) -> Mask:
    """Return which voxels of ``target`` lie within the field of view of ``scan_grid``.

    The field of view ends half a voxel beyond the outermost voxel centres.
    """
    matrix = index_map(scan_grid, target).astype(np.float32)
    index = np.moveaxis(np.indices(target.shape, dtype=np.float32), 0, -1)
    source = index @ matrix[:3, :3].T + matrix[:3, 3]
    inside = (source >= -0.5) & (source <= np.array(scan_grid.shape) - 0.5)
    return np.asarray(inside.all(axis=-1))
