"""Batches of crops, drawn reproducibly from the number of the step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from anomri.scan import Mask
from anomri.training.adaptation.examples import Example
from anomri.training.adaptation.pasting import with_pasted_lesion

LESION_SHARE = 0.6  # of the crops that are centred on a lesion
MAX_SHIFT = 8  # voxels
SCALES = (0.9, 1.1)  # of the intensities of each contrast
DROPPED = 0.15  # share of the crops without a certain contrast; the first is always there

Shape = tuple[int, int, int]
Crop = tuple[np.ndarray, np.ndarray]  # image (C, *shape), regions (R, *shape), float32


def draw_batch(
    examples: Sequence[Example],
    *,
    batch: int,
    shape: Shape,
    pasted: float,
    seed: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return images (N, C, *shape), regions (N, R, *shape) and weights (N,), float32.

    Args:
        examples: scans of one half.
        batch: number of crops N.
        shape: voxels of a crop.
        pasted: share of the crops that are taken from a scan with a pasted lesion.
        seed: numbers that determine the batch.
    """
    rng = np.random.default_rng(list(seed))
    images, regions, weights = [], [], []
    for _ in range(batch):
        number = int(rng.integers(len(examples)))
        example = examples[number]
        if rng.random() < pasted:
            others = [one for n, one in enumerate(examples) if n != number]
            example = with_pasted_lesion(example, others, rng)
        image, region = augmented(*_crop(example, shape, rng), rng)
        images.append(torch.from_numpy(image))
        regions.append(torch.from_numpy(region))
        weights.append(example.weight)
    return torch.stack(images), torch.stack(regions), torch.tensor(weights)


def augmented(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> Crop:
    """Mirror a crop, scale its intensities, and leave contrasts out at random."""
    if rng.random() < 0.5:
        image, regions = image[:, ::-1], regions[:, ::-1]
    factors = rng.uniform(*SCALES, len(image))
    factors[1:] *= rng.random(len(image) - 1) >= DROPPED
    scaled = image * factors[:, None, None, None]
    return np.ascontiguousarray(scaled, np.float32), np.ascontiguousarray(regions, np.float32)


def _crop(example: Example, shape: Shape, rng: np.random.Generator) -> Crop:
    lesions = rng.random() < LESION_SHARE and example.lesions.any()
    starts = _starts(example.lesions if lesions else example.brain, shape, rng)
    return _cut(example.image, starts, shape), _cut(example.regions, starts, shape)


def _starts(mask: Mask, shape: Shape, rng: np.random.Generator) -> list[int]:
    """Return the first voxel of a crop near a voxel of the mask; below 0 where it is wider."""
    voxels = np.flatnonzero(mask)
    centre = np.unravel_index(voxels[rng.integers(len(voxels))], mask.shape)
    shifts = rng.integers(-MAX_SHIFT, MAX_SHIFT + 1, 3)
    return [
        int(np.clip(middle - side // 2 + shift, min(0, n - side), max(0, n - side)))
        for middle, shift, side, n in zip(centre, shifts, shape, mask.shape, strict=True)
    ]


def _cut(volume: np.ndarray, starts: Sequence[int], shape: Shape) -> np.ndarray:
    """Return a box of (C, I, J, K), 0 beyond the edges."""
    result = np.zeros((len(volume), *shape), np.float32)
    source = tuple(
        slice(max(start, 0), start + side) for start, side in zip(starts, shape, strict=True)
    )
    target = tuple(
        slice(max(-start, 0), max(-start, 0) + min(start + side, n) - max(start, 0))
        for start, side, n in zip(starts, shape, volume.shape[1:], strict=True)
    )
    result[:, *target] = volume[:, *source]
    return result
