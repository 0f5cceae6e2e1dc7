"""Random geometry and squares (or cubes) of noise, for a whole batch, where the network runs.

Weninger et al. 2019, section 3. First everything random is drawn into a :class:`Draw`, then it is
applied; the same generator state gives the same batch. Volumes are moved within their axial
slices, all slices alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from anomri.models import Batch
from anomri.recipe import Augmentation, NoiseSquares


@dataclass(frozen=True, slots=True)
class Draw:
    """What happens to each image of a batch.

    Attributes:
        geometry: (N, 2, 2) matrix from output to input pixels along I and J, about the centre;
            None for none.
        squares: (N, axes, 2) first and end voxel of a square or cube along each axis, empty where
            there is none; None for none at all.
        noise: (M, C, *space) standard normal for the M images that have one; None without squares.
    """

    geometry: Tensor | None
    squares: Tensor | None
    noise: Tensor | None


@dataclass(frozen=True, slots=True)
class Augmenter:
    """Draws and applies what a recipe asks for.

    Attributes:
        geometry: the recipe's ``augmentation``; None for none.
        squares: the recipe's ``noise_squares``; None for none.
    """

    geometry: Augmentation | None
    squares: NoiseSquares | None

    def draw(self, images: Tensor, seed: int) -> Draw:
        """Decide everything for images (N, C, *space); the few parameters are drawn on the CPU."""
        generator = torch.Generator().manual_seed(seed)
        count, space = len(images), tuple(images.shape[2:])
        geometry = draw_geometry(count, self.geometry, generator) if self.geometry else None
        if self.squares is None:
            return Draw(geometry, None, None)
        squares = draw_squares(count, space, self.squares, generator)
        there = torch.Generator(images.device).manual_seed(seed)
        shape = (len(_having(squares)), *images.shape[1:])
        noise = torch.randn(shape, generator=there, device=images.device)
        return Draw(geometry, squares, noise)

    def apply(self, images: Tensor, excluded: Tensor, draw: Draw) -> Batch:
        """Return the batch: moved images as targets, and the same with noise as inputs.

        Args:
            images: (N, C, *space), 0 outside the brain.
            excluded: (N, 1, *space), 1 where nothing may be learnt.
            draw: what to do.
        """
        if draw.geometry is not None:
            images, excluded = self._moved(images, excluded, draw.geometry)
        disturbed = images
        if draw.squares is not None and draw.noise is not None:
            with_one = _having(draw.squares)
            there = with_one.to(images.device)
            hidden = hide(images.index_select(0, there), draw.squares[with_one], draw.noise)
            disturbed = images.index_copy(0, there, hidden)
        return Batch(image=disturbed, target=images, weight=1 - excluded)

    def _moved(self, images: Tensor, excluded: Tensor, geometry: Tensor) -> tuple[Tensor, Tensor]:
        """Move the images that change; what is excluded loses no pixel of its rim."""
        changed = (geometry != torch.eye(2)).any(2).any(1).nonzero().flatten()
        there, geometry = changed.to(images.device), geometry[changed]
        moved = images.index_copy(0, there, move(images.index_select(0, there), geometry))
        if not excluded.any():  # as in most batches
            return moved, excluded
        marks = (move(excluded.index_select(0, there), geometry) > 0).to(excluded.dtype)
        return moved, excluded.index_copy(0, there, marks)

    def undisturbed(self, images: Tensor, excluded: Tensor) -> Batch:
        """Return the batch as it was read."""
        return Batch(image=images, target=images, weight=1 - excluded)


def draw_geometry(count: int, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw (N, 2, 2) matrices: flip along I, scale, shear and rotation; identity for the rest."""

    def uniform(largest: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator) - 1) * largest

    angle = uniform(math.radians(limits.rotation_deg))
    scale, shear = 1 + uniform(limits.scale), uniform(limits.shear)
    flipped = (torch.rand(count, generator=generator) < 0.5) & limits.flip
    changed = torch.rand(count, generator=generator) < limits.probability
    zero, one = torch.zeros(count), torch.ones(count)
    rotation = _matrix(angle.cos(), -angle.sin(), angle.sin(), angle.cos())
    stretch = _matrix(scale, shear, zero, scale)
    mirror = _matrix(torch.where(flipped, -one, one), zero, zero, one)
    return torch.where(changed[:, None, None], rotation @ stretch @ mirror, torch.eye(2))


def draw_squares(
    count: int, size: tuple[int, ...], limits: NoiseSquares, generator: torch.Generator
) -> Tensor:
    """Draw the (N, axes, 2) first and end voxels: side and place uniform, all inside."""
    largest = min(limits.largest, *size)
    smallest = min(limits.smallest, largest)
    side = torch.randint(smallest, largest + 1, (count, 1), generator=generator)
    first = torch.rand(count, len(size), generator=generator) * (torch.tensor(size) - side + 1)
    start = first.floor().long()
    side = side * (torch.rand(count, 1, generator=generator) < limits.probability)
    return torch.stack((start, start + side), -1)


def move(images: Tensor, geometry: Tensor) -> Tensor:
    """Resample (N, C, *space) through (N, 2, 2) matrices of pixels along I and J, linearly.

    0 comes in from outside.
    """
    grid = _looked_up(geometry.to(images.device), images.shape[2:])
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _looked_up(geometry: Tensor, space: torch.Size) -> Tensor:
    """Return where each voxel looks, (N, *space, axes), last axis first, in units of half a side.

    Each coordinate is a sum of one term per axis, which is many times faster to add up than
    ``affine_grid`` multiplies.
    """
    axes, device = len(space), geometry.device
    matrix = torch.eye(axes, device=device).repeat(len(geometry), 1, 1)
    matrix[:, :2, :2] = geometry
    half = [length / 2 for length in space]
    grid = torch.empty(len(geometry), *space, axes, device=device)
    for to in range(axes):
        terms = grid[..., axes - 1 - to].zero_()
        for along, length in enumerate(space):
            voxels = torch.arange(length, device=device) + 0.5 - half[along]
            shape = [len(geometry)] + [length if n == along else 1 for n in range(axes)]
            terms += (matrix[:, to, along, None] * voxels / half[to]).reshape(shape)
    return grid


def hide(images: Tensor, squares: Tensor, noise: Tensor) -> Tensor:
    """Replace squares by noise with the mean and spread of the image's own brain, per channel."""
    brain, space = images != 0, tuple(range(2, images.ndim))
    count = brain.sum(space, keepdim=True).clamp_min(1)
    mean = images.sum(space, keepdim=True) / count
    spread = ((images - mean).square() * brain).sum(space, keepdim=True).div(count).sqrt()
    return torch.where(_inside(squares.to(images.device), images), mean + spread * noise, images)


def _having(squares: Tensor) -> Tensor:
    """Return the positions of the images whose square is not empty."""
    return (squares[:, 0, 1] > squares[:, 0, 0]).nonzero().flatten()


def _inside(squares: Tensor, images: Tensor) -> Tensor:
    """Mark the voxels of each image's square, (N, 1, *space)."""
    marked = torch.ones_like(images[:, :1], dtype=torch.bool)
    for axis, length in enumerate(images.shape[2:]):
        voxels = torch.arange(length, device=images.device)
        first, end = squares[:, axis, :1], squares[:, axis, 1:]
        along = (voxels >= first) & (voxels < end)
        shape = [1] * images.ndim
        shape[0], shape[axis + 2] = along.shape
        marked &= along.reshape(shape)
    return marked


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.stack((torch.stack((a, b), -1), torch.stack((c, d), -1)), -2)
