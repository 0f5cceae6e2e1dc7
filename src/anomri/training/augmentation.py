"""Augmentation of whole batches on the network's device: geometry, and squares of noise.

Weninger et al. 2019, section 3. All random numbers are drawn into an :class:`AugmentationDraw`
before it is applied, so that the same seed gives the same batch. Volumes are transformed within
their axial slices, all slices alike, and have cubes of noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from anomri.models import Batch
from anomri.recipe import Augmentation, NoiseSquares


@dataclass(frozen=True, slots=True)
class AugmentationDraw:
    """Random parameters of the augmentation of a batch.

    Attributes:
        geometry: (N, 2, 2) matrices from output to input pixels along I and J, about the centre;
            None without geometric augmentation.
        squares: (N, axes, 2) first and end voxel of each image's square or cube, equal for an
            image without one; None without noise.
        noise: (M, C, *space) standard normal noise of the M images with a square; None without
            noise.
    """

    geometry: Tensor | None
    squares: Tensor | None
    noise: Tensor | None


@dataclass(frozen=True, slots=True)
class Augmenter:
    """Augmentation of healthy images.

    Attributes:
        geometry: the recipe's ``augmentation``; None for none.
        squares: the recipe's ``noise_squares``; None for none.
    """

    geometry: Augmentation | None
    squares: NoiseSquares | None

    def draw(self, images: Tensor, seed: int) -> AugmentationDraw:
        """Draw the parameters for images (N, C, *space), on the CPU except for the noise."""
        generator = torch.Generator().manual_seed(seed)
        count, space = len(images), tuple(images.shape[2:])
        geometry = draw_geometry(count, self.geometry, generator) if self.geometry else None
        if self.squares is None:
            return AugmentationDraw(geometry, None, None)
        squares = draw_squares(count, space, self.squares, generator)
        device_generator = torch.Generator(images.device).manual_seed(seed)
        shape = (len(_with_square(squares)), *images.shape[1:])
        noise = torch.randn(shape, generator=device_generator, device=images.device)
        return AugmentationDraw(geometry, squares, noise)

    def apply(self, images: Tensor, excluded: Tensor, draw: AugmentationDraw) -> Batch:
        """Return a batch with transformed images as targets and added noise in its inputs.

        Args:
            images: (N, C, *space), 0 outside the brain.
            excluded: (N, 1, *space), 1 for voxels without weight in the loss.
            draw: random parameters.
        """
        if draw.geometry is not None:
            images, excluded = self._transformed(images, excluded, draw.geometry)
        inputs = images
        if draw.squares is not None and draw.noise is not None:
            with_square = _with_square(draw.squares)
            indices = with_square.to(images.device)
            noisy = add_squares(
                images.index_select(0, indices), draw.squares[with_square], draw.noise
            )
            inputs = images.index_copy(0, indices, noisy)
        return Batch(image=inputs, target=images, weight=1 - excluded)

    def _transformed(
        self, images: Tensor, excluded: Tensor, geometry: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Transform images and excluded voxels; the latter include partly covered pixels."""
        changed = (geometry != torch.eye(2)).any(2).any(1).nonzero().flatten()
        indices, geometry = changed.to(images.device), geometry[changed]
        result = images.index_copy(0, indices, transform(images.index_select(0, indices), geometry))
        if not excluded.any():  # as in most batches
            return result, excluded
        covered = transform(excluded.index_select(0, indices), geometry) > 0
        return result, excluded.index_copy(0, indices, covered.to(excluded.dtype))

    def unchanged(self, images: Tensor, excluded: Tensor) -> Batch:
        """Return a batch without augmentation."""
        return Batch(image=images, target=images, weight=1 - excluded)


def draw_geometry(count: int, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw (N, 2, 2) matrices of flip along I, scale, shear and rotation; some are the identity."""

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
    """Draw (N, axes, 2) first and end voxels of squares: uniform side and position, all inside."""
    largest = min(limits.largest, *size)
    smallest = min(limits.smallest, largest)
    side = torch.randint(smallest, largest + 1, (count, 1), generator=generator)
    first = torch.rand(count, len(size), generator=generator) * (torch.tensor(size) - side + 1)
    start = first.floor().long()
    side = side * (torch.rand(count, 1, generator=generator) < limits.probability)
    return torch.stack((start, start + side), -1)


def transform(images: Tensor, geometry: Tensor) -> Tensor:
    """Resample (N, C, *space) through (N, 2, 2) matrices of pixels along I and J.

    Interpolation is linear, with 0 outside the image.
    """
    grid = _sampling_grid(geometry.to(images.device), images.shape[2:])
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _sampling_grid(geometry: Tensor, space: torch.Size) -> Tensor:
    """Return sampling positions (N, *space, axes), last axis first, in units of half a side.

    Each coordinate is a sum of one term per axis, which is many times faster than the matrix
    product of ``affine_grid``.
    """
    axes, device = len(space), geometry.device
    matrix = torch.eye(axes, device=device).repeat(len(geometry), 1, 1)
    matrix[:, :2, :2] = geometry
    half = [length / 2 for length in space]
    grid = torch.empty(len(geometry), *space, axes, device=device)
    for output_axis in range(axes):
        coordinate = grid[..., axes - 1 - output_axis]
        for axis, length in enumerate(space):
            voxels = torch.arange(length, device=device) + 0.5 - half[axis]
            shape = [len(geometry)] + [length if n == axis else 1 for n in range(axes)]
            term = matrix[:, output_axis, axis, None] * voxels / half[output_axis]
            if axis == 0:
                coordinate.copy_(term.reshape(shape))
            else:
                coordinate += term.reshape(shape)
    return grid


def add_squares(images: Tensor, squares: Tensor, noise: Tensor) -> Tensor:
    """Replace squares by noise with mean and standard deviation of the brain, per channel."""
    mean, spread = brain_mean_and_spread(images)
    return torch.where(_inside(squares.to(images.device), images), mean + spread * noise, images)


def brain_mean_and_spread(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation in the brain, (N, C, 1, ...) each.

    Args:
        images: (N, C, *space), 0 outside the brain.
    """
    brain, space = images != 0, tuple(range(2, images.ndim))
    count = brain.sum(space, keepdim=True).clamp_min(1)
    mean = images.sum(space, keepdim=True) / count
    spread = ((images - mean).square() * brain).sum(space, keepdim=True).div(count).sqrt()
    return mean, spread


def _with_square(squares: Tensor) -> Tensor:
    """Return the indices of the images with a square."""
    return (squares[:, 0, 1] > squares[:, 0, 0]).nonzero().flatten()


def _inside(squares: Tensor, images: Tensor) -> Tensor:
    """Mark the voxels of each image's square, (N, 1, *space)."""
    marked = []
    for axis, length in enumerate(images.shape[2:]):
        voxels = torch.arange(length, device=images.device)
        first, end = squares[:, axis, :1], squares[:, axis, 1:]
        along = (voxels >= first) & (voxels < end)
        shape = [1] * images.ndim
        shape[0], shape[axis + 2] = along.shape
        marked.append(along.reshape(shape))
    return reduce(torch.logical_and, marked)


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.stack((torch.stack((a, b), -1), torch.stack((c, d), -1)), -2)
