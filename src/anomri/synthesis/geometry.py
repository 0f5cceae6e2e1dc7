"""Positions drawn at random: where a head lies in the image, and how it is deformed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample, interpolate

from anomri.scan import Mask

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """How far a head may be moved; each draw is uniform up to the limit, both ways.

    Attributes:
        rotation_deg: about each axis.
        scale: relative change of size, and half as much along each axis by itself.
        shear: mm per mm.
        shift_mm: of the brain's middle from the image's middle.
        bend_mm: standard deviation of the elastic displacement, at most.
        mirror: share of heads whose left and right are exchanged.
    """

    rotation_deg: float = 15.0
    scale: float = 0.15
    shear: float = 0.05
    shift_mm: float = 15.0
    bend_mm: float = 2.5
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


def move(
    volumes: NDArray[np.float32],
    brain: Mask,
    spacing: tuple[float, float, float],
    *,
    shape: tuple[int, int, int],
    spacing_out: float,
    placing: Placing,
    draw: np.random.Generator,
) -> NDArray[np.float32]:
    """Return (C, *shape): the volumes on a new grid around the brain, linearly, 0 beyond the edge.

    Args:
        volumes: (C, I, J, K).
        brain: (I, J, K), whose middle is the middle of the result before it is shifted.
        spacing: mm along I, J, K.
        shape: of the result.
        spacing_out: mm of the result, along each axis.
        placing: how far things may move.
        draw: source of randomness.
    """
    held = [np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {a}))) for a in range(3)]
    middle = np.array([(h[0] + h[-1]) / 2 for h in held])
    shift = draw.uniform(-1, 1, 3) * placing.shift_mm
    to_voxels = np.diag(1 / np.asarray(spacing)) @ placing.matrix(draw) * spacing_out
    centre = (np.array(shape) - 1) / 2 + shift / spacing_out
    start = middle - to_voxels @ centre
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    where = index @ torch.as_tensor(to_voxels.T, dtype=torch.float32)
    where += torch.as_tensor(start, dtype=torch.float32)
    where += _bend(shape, placing, draw) / torch.tensor(spacing)
    size = torch.tensor(volumes.shape[1:], dtype=torch.float32)
    normal = (where / (size - 1) * 2 - 1).flip(-1)
    source = torch.from_numpy(np.ascontiguousarray(volumes))[None]
    moved = grid_sample(source, normal[None], align_corners=True)[0]
    result: NDArray[np.float32] = moved.numpy()
    return result


def _bend(shape: tuple[int, int, int], placing: Placing, draw: np.random.Generator) -> torch.Tensor:
    """Return (*shape, 3) mm of smooth displacement."""
    nodes = draw.standard_normal((1, 3, 6, 6, 6)).astype(np.float32)
    nodes *= draw.uniform(0, placing.bend_mm)
    field = interpolate(torch.from_numpy(nodes), size=shape, mode="trilinear", align_corners=True)
    return field[0].permute(1, 2, 3, 0)
