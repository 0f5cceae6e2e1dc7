"""Random geometry and squares of noise, for a whole batch at a time, where the network runs.

Weninger et al. 2019, section 3. First everything random is drawn into a :class:`Draw`, then it is
applied; the same generator state gives the same batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from anomri.family import Batch
from anomri.recipe import Augmentation, NoiseSquares


@dataclass(frozen=True, slots=True)
class Draw:
    """What happens to each image of a batch.

    Attributes:
        geometry: (N, 2, 2) matrix from output to input pixels, about the centre; None for none.
        squares: (N, 4) first and end pixel of a square along I and J, empty where there is none;
            None for none at all.
        noise: (N, C, I, J) standard normal; None without squares.
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
        """Decide everything for images (N, C, I, J); the few parameters are drawn on the CPU."""
        generator = torch.Generator().manual_seed(seed)
        count, *_, rows, columns = images.shape
        geometry = draw_geometry(count, self.geometry, generator) if self.geometry else None
        if self.squares is None:
            return Draw(geometry, None, None)
        squares = draw_squares(count, (rows, columns), self.squares, generator)
        there = torch.Generator(images.device).manual_seed(seed)
        noise = torch.randn(images.shape, generator=there, device=images.device)
        return Draw(geometry, squares, noise)

    def apply(self, images: Tensor, excluded: Tensor, draw: Draw) -> Batch:
        """Return the batch: moved images as targets, and the same with noise as inputs.

        Args:
            images: (N, C, I, J), 0 outside the brain.
            excluded: (N, 1, I, J), 1 where nothing may be learnt.
            draw: what to do.
        """
        if draw.geometry is not None:
            moved = move(torch.cat((images, excluded), 1), draw.geometry)
            images, excluded = moved[:, :-1], (moved[:, -1:] > 0).to(images.dtype)
        disturbed = images
        if draw.squares is not None and draw.noise is not None:
            disturbed = hide(images, draw.squares, draw.noise)
        return Batch(image=disturbed, target=images, weight=1 - excluded)


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
    count: int, size: tuple[int, int], limits: NoiseSquares, generator: torch.Generator
) -> Tensor:
    """Draw (N, 4) ``first I, end I, first J, end J``: side and place uniform, all inside."""
    largest = min(limits.largest, *size)
    smallest = min(limits.smallest, largest)
    side = torch.randint(smallest, largest + 1, (count,), generator=generator)
    first = torch.rand(count, 2, generator=generator) * (torch.tensor(size) - side[:, None] + 1)
    start = first.floor().long()
    side = side * (torch.rand(count, generator=generator) < limits.probability)
    end = start + side[:, None]
    return torch.stack((start[:, 0], end[:, 0], start[:, 1], end[:, 1]), 1)


def move(images: Tensor, geometry: Tensor) -> Tensor:
    """Resample (N, C, I, J) through (N, 2, 2) pixel matrices, linearly; 0 comes in from outside."""
    half = torch.tensor(images.shape[2:]) / 2
    relative = geometry * half / half[:, None]  # pixels to the [-1, 1] of each axis
    theta = torch.zeros(len(images), 2, 3)
    theta[:, :, :2] = relative.flip(1, 2)  # affine_grid wants the last axis first
    grid = affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def hide(images: Tensor, squares: Tensor, noise: Tensor) -> Tensor:
    """Replace squares by noise with the mean and spread of the image's own brain, per channel."""
    brain = images != 0
    count = brain.sum((2, 3), keepdim=True).clamp_min(1)
    mean = images.sum((2, 3), keepdim=True) / count
    spread = ((images - mean).square() * brain).sum((2, 3), keepdim=True).div(count).sqrt()
    return torch.where(_inside(squares.to(images.device), images), mean + spread * noise, images)


def _inside(squares: Tensor, images: Tensor) -> Tensor:
    """Mark the pixels of each image's square, (N, 1, I, J)."""
    rows, columns = (torch.arange(n, device=images.device) for n in images.shape[2:])
    along_i = (rows >= squares[:, :1]) & (rows < squares[:, 1:2])
    along_j = (columns >= squares[:, 2:3]) & (columns < squares[:, 3:])
    return (along_i[:, :, None] & along_j[:, None, :])[:, None]


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.stack((torch.stack((a, b), -1), torch.stack((c, d), -1)), -2)
