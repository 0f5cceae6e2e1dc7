"""Random affine transforms of a head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomAffine:
    """Limits of random affine transforms; each parameter is uniform between -limit and limit.

    Attributes:
        rotation_deg: about each axis.
        scale: relative change of size, and half as much for each axis separately.
        shear: mm per mm.
        mirror: probability of exchanging left and right.
    """

    rotation_deg: float = 15.0
    scale: float = 0.15
    shear: float = 0.05
    mirror: float = 0.5

    def draw(self, rng: np.random.Generator) -> Matrix:
        """Return a (3, 3) matrix from mm about the image centre to mm about the brain centre."""
        rotation = np.eye(3)
        for axis in range(3):
            angle = np.deg2rad(rng.uniform(-1, 1) * self.rotation_deg)
            i, j = (a for a in range(3) if a != axis)
            about_axis = np.eye(3)
            about_axis[i, i] = about_axis[j, j] = np.cos(angle)
            about_axis[i, j], about_axis[j, i] = -np.sin(angle), np.sin(angle)
            rotation = rotation @ about_axis
        size = 1 + self.scale * rng.uniform(-1, 1) + self.scale / 2 * rng.uniform(-1, 1, 3)
        shear = np.eye(3) + np.triu(rng.uniform(-1, 1, (3, 3)) * self.shear, 1)
        mirror = np.diag([-1.0 if rng.random() < self.mirror else 1.0, 1.0, 1.0])
        matrix: Matrix = mirror @ rotation @ shear @ np.diag(1 / size)
        return matrix
