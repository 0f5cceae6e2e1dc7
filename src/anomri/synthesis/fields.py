"""Smooth random fields, the stuff that shapes and textures are drawn from."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch.nn.functional import interpolate

from anomri.scan import Mask, Volume


def waves(shape: tuple[int, ...], width: float, draw: np.random.Generator) -> Volume:
    """Return (I, J, K) with standard deviation 1: noise on nodes ``width`` voxels apart, linearly.

    Args:
        shape: of the result.
        width: voxels from node to node, at least 1.
        draw: source of randomness.
    """
    width = max(width, 1.0)
    nodes = [max(int(np.ceil(n / width)) + 3, 4) for n in shape]
    field = torch.from_numpy(draw.standard_normal((1, 1, *nodes), dtype=np.float32))
    wide = interpolate(field, scale_factor=width, mode="trilinear", align_corners=False)[0, 0]
    starts = [
        int(draw.integers(0, have - n + 1)) for have, n in zip(wide.shape, shape, strict=True)
    ]
    part = wide.numpy()[tuple(slice(s, s + n) for s, n in zip(starts, shape, strict=True))]
    result: Volume = (part / (part.std() + 1e-6)).astype(np.float32)
    return result


def smooth_field(shape: tuple[int, ...], draw: np.random.Generator, *, coarse: int) -> Volume:
    """Return (I, J, K), a smooth random field: N(0, 1) on ``coarse`` nodes per axis, linearly."""
    nodes = torch.from_numpy(draw.standard_normal((1, 1, *[coarse] * 3), dtype=np.float32))
    field = interpolate(nodes, size=shape, mode="trilinear", align_corners=True)
    result: Volume = field[0, 0].numpy()
    return result


def soften(volume: Volume | Mask, sigma: float) -> Volume:
    """Blur with a Gaussian of ``sigma`` voxels; masks become shares."""
    values = volume.astype(np.float32, copy=False)
    blurred: Volume = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=2.5)
    return blurred


def step(values: Volume) -> Volume:
    """Return 1 / (1 + exp(-2 v)), a soft threshold at 0."""
    result: Volume = 1 / (1 + np.exp(-2 * values.clip(-15, 15)))
    return result
