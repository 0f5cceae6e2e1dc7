"""Smooth random fields for shapes and textures, and filters that are products of three matrices.

Interpolation, blur and slices act on each axis separately. Each is a matrix along that axis, which
is fast on any device and may differ between the volumes of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from anomri.synthesis.random_streams import RandomStreams

TRUNCATE = 2.5  # standard deviations of a Gaussian
EXTRA_NODES, MIN_NODES = 3, 4


def smooth_noise(shape: Sequence[int], widths: Sequence[float], random: RandomStreams) -> Tensor:
    """Return linearly interpolated noise (N, I, J, K) with standard deviation 1.

    Args:
        shape: (I, J, K) of the result.
        widths: distance of the noise nodes in voxels per field, at least 1.
        random: streams of random numbers, one per field.
    """
    widths = [max(width, 1.0) for width in widths]
    counts = [[max(math.ceil(n / w) + EXTRA_NODES, MIN_NODES) for n in shape] for w in widths]
    positions = []
    for axis, length in enumerate(shape):
        fields = zip(random.numbers(), widths, counts, strict=True)
        positions.append(torch.stack([_positions(length, u, w, c[axis]) for u, w, c in fields]))
    positions = [each.to(random.device) for each in positions]
    return unit_spread(_interpolate(random.noise(counts), positions))


def _positions(length: int, number: float, width: float, count: int) -> Tensor:
    """Return the positions of voxels between nodes, from a random start; ends are clamped."""
    start = int(number * (int(count * width) - length + 1))
    return ((torch.arange(length) + start + 0.5) / width - 0.5).clamp(0, count - 1)


def smooth_field(shape: Sequence[int], nodes: Sequence[int], random: RandomStreams) -> Tensor:
    """Return (N, I, J, K), interpolated from N(0, 1) on so many nodes per axis and field."""
    positions = [
        torch.stack([torch.linspace(0, n - 1, length, device=random.device) for n in nodes])
        for length in shape
    ]
    return _interpolate(random.noise([[n] * 3 for n in nodes]), positions)


def unit_spread(fields: Tensor) -> Tensor:
    """Divide each of (N, I, J, K) fields by its standard deviation."""
    return fields / (fields.flatten(1).std(1, correction=0)[:, None, None, None] + 1e-6)


def blur(volumes: Tensor, sigmas: float | Sequence[float], truncate: float = TRUNCATE) -> Tensor:
    """Blur (N, I, J, K) with Gaussians of ``sigmas`` voxels; masks become fractions."""
    each = [sigmas] * len(volumes) if isinstance(sigmas, float) else list(sigmas)
    result = volumes.float()
    for axis in (1, 2, 3):
        matrices = [gaussian(volumes.shape[axis], sigma, truncate) for sigma in each]
        result = along(result, torch.stack(matrices).to(volumes.device), axis)
    return result


def gaussian(length: int, sigma: float, truncate: float = TRUNCATE) -> Tensor:
    """Return the (length, length) matrix of a Gaussian; beyond the ends the last voxel goes on."""
    radius = int(truncate * sigma + 0.5)
    if not radius:
        return torch.eye(length)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    columns = (torch.arange(length)[:, None] + offsets).clamp(0, length - 1)
    matrix = torch.zeros(length, length)
    return matrix.scatter_add_(1, columns, (weights / weights.sum()).expand(length, -1))


def along(volumes: Tensor, matrices: Tensor, axis: int) -> Tensor:
    """Multiply an axis of (N, I, J, K) volumes by (N, out, in) matrices."""
    if axis == 1:
        product = matrices @ volumes.flatten(2)
        return product.reshape(*product.shape[:2], *volumes.shape[2:])
    if axis == 2:
        return matrices[:, None] @ volumes
    return volumes @ matrices.transpose(1, 2)[:, None]


def hats(positions: Tensor, nodes: int) -> Tensor:
    """Return (..., P, nodes), the weights of linear interpolation at (..., P) positions."""
    places = torch.arange(nodes, device=positions.device)
    return (1 - (positions.clamp(0, nodes - 1)[..., None] - places).abs()).clamp(min=0)


def soft_step(values: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-2 v)), a soft threshold at 0."""
    return torch.sigmoid(2 * values)


def _interpolate(nodes: Sequence[Tensor], positions: Sequence[Tensor]) -> Tensor:
    """Return fields from their nodes, and (N, length) positions between them for each axis."""
    most = [max(each.shape[axis] for each in nodes) for axis in range(3)]
    result = torch.zeros(len(nodes), *most, device=nodes[0].device)
    for filled, each in zip(result, nodes, strict=True):
        i, j, k = each.shape
        filled[:i, :j, :k] = each
    for axis in (3, 2, 1):
        result = along(result, hats(positions[axis - 1], most[axis - 1]), axis)
    return result
