"""What a map shows on one side of the brain and not on the other.

A healthy brain is close to its mirror image: what is bright on both sides (rims of the ventricles,
the base of the skull, the insula) is more often anatomy than lesion, and most lesions have no twin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from anomri.options import Share, Size
from anomri.postprocessing.candidate import Candidate
from anomri.postprocessing.morphology import crop_around
from anomri.scan import Mask, Volume

Vector = NDArray[np.float64]

COARSE_MM = 4.0  # the plane is looked for on voxels of about this size
WINDOW = 4.0  # standard deviations: a lesion pulls no more than this at the plane
RIM = 5.0  # what brain counts more than background
STEP = (0.1, 0.1, 6.0)  # of the first look: radian, radian, mm


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane in mm from the array's first voxel.

    Attributes:
        normal: (3,) of length 1.
        offset: ``normal @ point`` of the points of the plane, mm.
    """

    normal: Vector
    offset: float

    @classmethod
    def at(cls, angles: Vector, offset: float, centre: Vector) -> Plane:
        """Turn the sagittal plane through ``centre`` about J and K and move it along its normal."""
        normal = np.array([1.0, np.tan(angles[0]), np.tan(angles[1])])
        normal /= np.linalg.norm(normal)
        return cls(normal, float(normal @ centre + offset))

    def moved(self, shift: Vector) -> Plane:
        """Return the plane moved by so many mm."""
        return Plane(self.normal, self.offset + float(self.normal @ shift))

    def reflection(self, spacing: tuple[float, float, float]) -> tuple[NDArray[np.float64], Vector]:
        """Return matrix (3, 3) and shift (3,) from a voxel to its mirror image, in voxels.

        ``x -> x - 2 (n @ x - d) n`` in mm.
        """
        mm = np.diag(spacing)
        voxels = np.diag(1 / np.asarray(spacing))
        matrix = voxels @ (np.eye(3) - 2 * np.outer(self.normal, self.normal)) @ mm
        return matrix, voxels @ (2 * self.offset * self.normal)


def plane_of_symmetry(candidate: Candidate) -> Plane:
    """Return the plane about which map and brain are most alike.

    Least mean absolute difference to the mirror image, by the simplex of Nelder and Mead from the
    sagittal plane through the middle of the brain.

    Args:
        candidate: the map in standard deviations, in a brain that is not empty; I runs from one
            side of the head to the other.
    """
    image, spacing, inside, first = _coarse(candidate)
    centre = np.mean(np.nonzero(inside), axis=1) * spacing
    places = np.asarray(np.nonzero(inside), dtype=np.float64)
    here = image[inside]

    def unlike(parameters: Vector) -> float:
        matrix, shift = Plane.at(parameters[:2], parameters[2], centre).reflection(spacing)
        there = ndimage.map_coordinates(image, matrix @ places + shift[:, None], order=1)
        return float(np.abs(here - there).mean())

    simplex = np.vstack([np.zeros(3), np.diag(STEP)])
    options: Any = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-4, "maxiter": 150}
    best = optimize.minimize(unlike, np.zeros(3), method="Nelder-Mead", options=options).x
    return Plane.at(best[:2], float(best[2]), centre).moved(first)


def subtract_mirror(candidate: Candidate, *, share: Share = 0.5, sigma_mm: Size = 2.0) -> Candidate:
    """Subtract a share of what the other side of the brain shows at the mirrored place.

    ``values - share * (G * max(mirror image, 0))``. With 0.5, a lesion that has a twin keeps half
    of its height.

    Args:
        candidate: the map, in robust standard deviations.
        share: of the mirror image.
        sigma_mm: standard deviation of the Gaussian G; no two halves match to the millimetre.
    """
    if not candidate.brain.any():
        return candidate
    matrix, shift = plane_of_symmetry(candidate).reflection(candidate.spacing)
    bright = np.maximum(candidate.values, 0)
    bright = ndimage.gaussian_filter(bright, [sigma_mm / step for step in candidate.spacing])
    box = crop_around(candidate.brain)
    start = np.array([side.start for side in box])
    mirrored = np.zeros_like(candidate.values)
    mirrored[box] = ndimage.affine_transform(
        bright, matrix, matrix @ start + shift, output_shape=mirrored[box].shape, order=1
    )
    return candidate.with_values(candidate.values - np.float32(share) * mirrored)


def _coarse(candidate: Candidate) -> tuple[Volume, tuple[float, float, float], Mask, Vector]:
    """Return the windowed map around the brain on every n-th voxel.

    Returns:
        The map with a margin of 0, smooth enough that no plane is preferred for falling onto the
        grid; its spacing; the brain in it; where it begins in the array, mm.
    """
    spacing = np.asarray(candidate.spacing)
    every = np.maximum(np.rint(COARSE_MM / spacing).astype(int), 1)
    margin = [(2 * n, 2 * n) for n in every]
    box = crop_around(candidate.brain)
    brain = np.pad(candidate.brain[box], margin)
    values = np.pad(candidate.values[box], margin)
    image = brain * (RIM + np.clip(values, -WINDOW, WINDOW))
    image = ndimage.gaussian_filter(image, COARSE_MM / spacing)
    pick = tuple(slice(None, None, int(n)) for n in every)
    start = np.array([side.start for side in box]) - 2 * every
    i, j, k = (float(step) for step in spacing * every)
    return image[pick], (i, j, k), brain[pick], start * spacing
