"""Smooth random fields for shapes and textures."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch.nn.functional import interpolate

from anomri.scan import Mask, Volume


def smooth_noise(shape: tuple[int, ...], width: float, rng: np.random.Generator) -> Volume:
    """Return linearly interpolated noise with standard deviation 1.

    Args:
        shape: (I, J, K) of the result.
        width: distance of the noise nodes in voxels, at least 1.
        rng: random number generator.
    """
    width = max(width, 1.0)
    nodes = [max(int(np.ceil(n / width)) + 3, 4) for n in shape]
    field = torch.from_numpy(rng.standard_normal((1, 1, *nodes), dtype=np.float32))
    wide = interpolate(field, scale_factor=width, mode="trilinear", align_corners=False)[0, 0]
    starts = [int(rng.integers(0, size - n + 1)) for size, n in zip(wide.shape, shape, strict=True)]
    part = wide.numpy()[tuple(slice(s, s + n) for s, n in zip(starts, shape, strict=True))]
    result: Volume = (part / (part.std() + 1e-6)).astype(np.float32)
    return result


def smooth_field(shape: tuple[int, ...], rng: np.random.Generator, *, nodes: int) -> Volume:
    """Return (I, J, K), linearly interpolated from N(0, 1) on ``nodes`` nodes per axis."""
    noise = torch.from_numpy(rng.standard_normal((1, 1, *[nodes] * 3), dtype=np.float32))
    field = interpolate(noise, size=shape, mode="trilinear", align_corners=True)
    result: Volume = field[0, 0].numpy()
    return result


def blur(volume: Volume | Mask, sigma: float) -> Volume:
    """Blur with a Gaussian of ``sigma`` voxels; masks become fractions."""
    values = volume.astype(np.float32, copy=False)
    blurred: Volume = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=2.5)
    return blurred


def soft_step(values: Volume) -> Volume:
    """Return 1 / (1 + exp(-2 v)), a soft threshold at 0."""
    result: Volume = 1 / (1 + np.exp(-2 * values.clip(-15, 15)))
    return result
