"""Rigid registration of time points to a space halfway between them.

Registering one scan to another resamples only the second and biases what is measured towards the
first (Reuter, Rosas and Fischl 2010; Reuter et al. 2012). Here each pair is registered in both
directions, and the mean of one transform and the inverse of the other, taken in the Lie algebra of
rigid motions, is the same whichever scan comes first, up to its direction. The halfway space is
the mean of all positions, and every scan is resampled to it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from anomri.longitudinal.time_points import TimePoint
from anomri.preprocessing import (
    RegistrationImage,
    RegistrationResult,
    centre_of_mass_transform,
    index_map,
    make_registration_image,
    register,
    resample_to_grid,
    sample,
)
from anomri.scan import Affine, Grid, Mask, Volume

SPACING_MM = 2.0  # of the images that are registered
FINEST_MM, COARSEST_MM = 1.0, 2.0  # voxels of the halfway space
MARGIN_MM = 5.0  # around the brains
LARGEST_DISAGREEMENT_MM = 3.0  # between both directions, at the corners of a brain's box


@dataclass(frozen=True, slots=True)
class Halfway:
    """A space halfway between several scans.

    Attributes:
        grid: along the axes of the halfway space.
        to_halfway: (4, 4) world mm of each scan to mm of the halfway space.
        disagreement_mm: of each scan: how far the two directions of its registration to the first
            scan differ at most, within the brain.
    """

    grid: Grid
    to_halfway: tuple[Affine, ...]
    disagreement_mm: tuple[float, ...]

    def of_scan(self, number: int) -> Grid:
        """Return the grid as it lies in the world of a scan, from 0."""
        affine = np.linalg.inv(self.to_halfway[number]) @ self.grid.affine
        return Grid(shape=self.grid.shape, affine=affine)

    def volume(self, volume: Volume, grid: Grid, number: int) -> Volume:
        """Return an (I, J, K) volume of a scan in the halfway space, linearly interpolated."""
        values: Volume = resample_to_grid(volume[None], grid, self.of_scan(number))[0]
        return values

    def mask(self, mask: Mask, grid: Grid, number: int) -> Mask:
        """Return an (I, J, K) mask of a scan in the halfway space."""
        return self.volume(mask.astype(np.float32), grid, number) >= 0.5

    def labels(self, labels: NDArray[np.int32], grid: Grid, number: int) -> NDArray[np.int32]:
        """Return (I, J, K) label numbers in the halfway space; none is lost between voxels."""
        here = self.of_scan(number)
        found: NDArray[np.int32] = sample(labels, index_map(grid, here), here.shape, linear=False)
        for label in np.setdiff1d(np.unique(labels), found):
            centre = grid.to_world(np.argwhere(labels == label).mean(axis=0))
            place = np.rint(np.linalg.inv(here.affine) @ np.append(centre, 1.0))[:3].astype(int)
            found[tuple(place.clip(0, np.array(here.shape) - 1))] = label
        return found


def register_halfway(points: Sequence[TimePoint]) -> Halfway:
    """Register time points to the space halfway between them.

    Args:
        points: two or more.

    Raises:
        RuntimeError: ITK found no overlap.
    """
    images = [_registration_image(point) for point in points]
    pairs = [symmetric_transform(images[0], image) for image in images[1:]]
    matrices = [np.eye(4), *(matrix for matrix, _ in pairs)]
    logarithms = [_logarithm(matrix) for matrix in matrices]
    mean = _exponential(np.mean(logarithms, axis=0))
    to_halfway = tuple(mean @ np.linalg.inv(matrix) for matrix in matrices)
    return Halfway(
        _grid(points, to_halfway), to_halfway, (0.0, *(difference for _, difference in pairs))
    )


def symmetric_transform(
    first: RegistrationImage, second: RegistrationImage
) -> tuple[Affine, float]:
    """Return the (4, 4) rigid transform from first to second world mm, inverse-consistent.

    Returns:
        The transform, and how far the two directions differ at the corners of the brain, in mm.
    """
    forward: Affine = _register(first, second).matrix
    backward: Affine = np.linalg.inv(_register(second, first).matrix).astype(np.float64)
    matrix = _exponential((_logarithm(forward) + _logarithm(backward)) / 2)
    corners = np.array(list(product(*zip(*_box_mm(first), strict=True))))
    apart = (forward - backward)[:3, :3] @ corners.T + (forward - backward)[:3, 3:]
    return matrix, float(np.linalg.norm(apart, axis=0).max())


def _register(fixed: RegistrationImage, moving: RegistrationImage) -> RegistrationResult:
    return register(fixed, moving, "rigid", centre_of_mass_transform(fixed, moving))


def _registration_image(point: TimePoint) -> RegistrationImage:
    brain = resample_to_grid(point.brain[None].astype(np.float32), point.native, point.grid)[0]
    return make_registration_image(point.image, brain >= 0.5, point.grid, SPACING_MM)


def _box_mm(image: RegistrationImage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    places = image.grid.to_world(np.argwhere(image.mask).astype(np.float64))
    return places.min(axis=0), places.max(axis=0)


def _grid(points: Sequence[TimePoint], to_halfway: Sequence[Affine]) -> Grid:
    """Return the isotropic grid around all brains in the halfway space."""
    places = [_brain_mm(point, matrix) for point, matrix in zip(points, to_halfway, strict=True)]
    low = np.min([place.min(axis=0) for place in places], axis=0) - MARGIN_MM
    high = np.max([place.max(axis=0) for place in places], axis=0) + MARGIN_MM
    shortest = min(min(point.native.spacing) for point in points)
    mm = float(np.clip(shortest, FINEST_MM, COARSEST_MM))
    i, j, k = (int(n) for n in np.ceil((high - low) / mm) + 1)
    affine = np.diag([mm, mm, mm, 1.0])
    affine[:3, 3] = low
    return Grid(shape=(i, j, k), affine=affine)


def _brain_mm(point: TimePoint, matrix: Affine) -> NDArray[np.float64]:
    world = point.native.to_world(np.argwhere(point.brain).astype(np.float64))
    return world @ matrix[:3, :3].T + matrix[:3, 3]


def _logarithm(matrix: Affine) -> Affine:
    return np.real(linalg.logm(matrix)).astype(np.float64)


def _exponential(logarithm: Affine) -> Affine:
    return np.asarray(linalg.expm(logarithm), np.float64)
