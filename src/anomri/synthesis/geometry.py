"""Positions drawn at random: where a head lies in the image, and how it is deformed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """How far a head may be moved; each draw is uniform up to the limit, both ways.

    Attributes:
        rotation_deg: about each axis.
        scale: relative change of size, and half as much along each axis by itself.
        shear: mm per mm.
        mirror: share of heads whose left and right are exchanged.
    """

    rotation_deg: float = 15.0
    scale: float = 0.15
    shear: float = 0.05
    mirror: float = 0.5

    def matrix(self, draw: np.random.Generator) -> Matrix:
        """Return (3, 3): mm from the image's middle to mm from the brain's middle."""
        turn = np.eye(3)
        for axis in range(3):
            angle = np.deg2rad(draw.uniform(-1, 1) * self.rotation_deg)
            i, j = (a for a in range(3) if a != axis)
            step = np.eye(3)
            step[i, i] = step[j, j] = np.cos(angle)
            step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
            turn = turn @ step
        size = 1 + self.scale * draw.uniform(-1, 1) + self.scale / 2 * draw.uniform(-1, 1, 3)
        shear = np.eye(3) + np.triu(draw.uniform(-1, 1, (3, 3)) * self.shear, 1)
        mirror = np.diag([-1.0 if draw.random() < self.mirror else 1.0, 1.0, 1.0])
        matrix: Matrix = mirror @ turn @ shear @ np.diag(1 / size)
        return matrix
