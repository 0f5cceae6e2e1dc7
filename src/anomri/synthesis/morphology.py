"""Distances, components and neighbours of masks, for batches on any device.

PyTorch has none of them. All are exact: distances are made of squared distances along one axis
after another (Saito and Toriwaki 1994) up to a limit, components of numbers that spread along rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Box = tuple[slice, ...]


def distance_mm(masks: Tensor, mm: float, limit_mm: float) -> Tensor:
    """Return the distance to the nearest voxel of each mask, at most ``limit_mm``.

    Args:
        masks: (N, I, J, K) bool.
        mm: voxel size.
        limit_mm: larger distances are not told apart.
    """
    limit = limit_mm / mm
    result = torch.full(masks.shape, limit_mm, device=masks.device)
    box = bounding_box(masks, margin=int(limit) + 1)
    if box is not None:
        result[box] = mm * _distance(masks[box], limit)
    return result


def depth_mm(masks: Tensor, mm: float, limit_mm: float) -> Tensor:
    """Return the distance of each voxel of the masks to the nearest one outside, 0 outside."""
    result = torch.zeros(masks.shape, device=masks.device)
    box = bounding_box(masks, margin=1)
    if box is not None:
        result[box] = mm * _distance(~masks[box], limit_mm / mm)
    return result


def bounding_box(masks: Tensor, margin: int) -> Box | None:
    """Return the box of all voxels that are in any of the masks; None without any."""
    any_of, sides = masks.any(0), []
    for axis, length in enumerate(any_of.shape):
        others = [a for a in range(3) if a != axis]
        places = any_of.any(others[1]).any(others[0]).nonzero().flatten()
        if not len(places):
            return None
        low, high = int(places[0]), int(places[-1])
        sides.append(slice(max(low - margin, 0), min(high + margin + 1, length)))
    return (slice(None), *sides)


def largest(masks: Tensor) -> Tensor:
    """Return the largest component (6-connected) of each mask.

    Each voxel starts with a number of its own; the largest number of a row of neighbours spreads
    through that row, along all axes in turn, until nothing changes.
    """
    box = bounding_box(masks, margin=0)
    if box is None:
        return masks
    part = masks[box]
    count = part[0].numel() + 1
    labels = torch.arange(1, count, device=masks.device).reshape(part.shape[1:]) * part
    before = torch.zeros_like(labels)
    while not torch.equal(before, labels):
        before = labels
        for axis in (1, 2, 3):
            labels = _spread(labels, part, axis, count)
    sizes = torch.zeros(len(part), count, dtype=labels.dtype, device=masks.device)
    sizes.scatter_add_(1, labels.flatten(1), torch.ones_like(labels).flatten(1))
    main = sizes[:, 1:].argmax(1) + 1
    result = torch.zeros_like(masks)
    result[box] = part & (labels == main[:, None, None, None])
    return result


def erode(masks: Tensor) -> Tensor:
    """Remove the voxels that have one of six neighbours outside; beyond the volume is outside."""
    return _with_neighbours(masks, torch.logical_and)


def dilate(masks: Tensor) -> Tensor:
    """Add the six neighbours of each voxel."""
    return _with_neighbours(masks, torch.logical_or)


def _distance(masks: Tensor, limit: float) -> Tensor:
    """Return the distance in voxels to the nearest voxel of the masks, at most ``limit``."""
    squares = _distance_along_rows(masks).clamp(max=limit).square()
    for axis in (2, 1):
        nearest, rows = squares.clone(), squares.shape[axis]
        for offset in range(1, min(int(limit) + 1, rows)):
            far = squares + offset**2
            for first, second in ((offset, 0), (0, offset)):
                target = nearest.narrow(axis, first, rows - offset)
                torch.minimum(target, far.narrow(axis, second, rows - offset), out=target)
        squares = nearest
    return squares.sqrt().clamp(max=limit)


def _distance_along_rows(masks: Tensor) -> Tensor:
    """Return the distance to the nearest voxel of the masks along the last axis."""
    length = masks.shape[-1]
    index = torch.arange(length, device=masks.device, dtype=torch.float32)
    far = torch.tensor(-1e4, device=masks.device)
    before = index - torch.where(masks, index, far).cummax(-1).values
    after = index - torch.where(masks.flip(-1), index, far).cummax(-1).values
    return torch.minimum(before, after.flip(-1))


def _spread(labels: Tensor, masks: Tensor, axis: int, count: int) -> Tensor:
    """Give each voxel the largest number of its row of neighbours along an axis."""
    for _ in range(2):
        labels, masks = labels.flip(axis), masks.flip(axis)
        # Rows further on have larger offsets, so that the running maximum starts anew in each.
        offsets = (~masks).cumsum(axis) * count
        labels = ((offsets + labels).cummax(axis).values - offsets) * masks
    return labels


def _with_neighbours(masks: Tensor, operation: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Combine each voxel with its six neighbours; beyond the volume is False."""
    padded = torch.nn.functional.pad(masks, (1,) * 6)
    result = masks
    for axis, length in enumerate(masks.shape[1:], start=1):
        inner = padded
        for other, size in enumerate(masks.shape[1:], start=1):
            inner = inner if other == axis else inner.narrow(other, 1, size)
        for start in (0, 2):
            result = operation(result, inner.narrow(axis, start, length))
    return result
