"""Random affine transforms of a head."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from anomri.synthesis.random_streams import RandomStreams


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

    def draw(self, random: RandomStreams) -> Tensor:
        """Return (N, 3, 3) matrices from mm about the image centre to mm about the brain centre."""
        angles = random.uniforms(-1, 1, 3) * math.radians(self.rotation_deg)
        rotations = [_rotation(axis, angles[:, axis]) for axis in range(3)]
        sizes = random.uniforms(-1, 1, 4) * self.scale
        size = 1 + sizes[:, :1] + sizes[:, 1:] / 2
        slants = random.uniforms(-1, 1, 9).reshape(-1, 3, 3) * self.shear
        shear = torch.eye(3, device=random.device) + slants.triu(1)
        mirror = torch.ones(len(random), 3, device=random.device)
        mirror[random.chosen(self.mirror), 0] = -1
        linear = rotations[0] @ rotations[1] @ rotations[2] @ shear
        return mirror[:, :, None] * linear / size[:, None, :]


def _rotation(axis: int, angles: Tensor) -> Tensor:
    """Return (N, 3, 3) rotations about an axis by angles in radians."""
    i, j = (a for a in range(3) if a != axis)
    matrices = torch.eye(3, device=angles.device).repeat(len(angles), 1, 1)
    matrices[:, i, i] = matrices[:, j, j] = angles.cos()
    matrices[:, i, j], matrices[:, j, i] = -angles.sin(), angles.sin()
    return matrices
