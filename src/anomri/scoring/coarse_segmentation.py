"""Regions of a whole scan in one look, on cubes that the network was taught on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anomri.models import Segmenter
from anomri.preprocessing import resample_to_grid, resample_to_isotropic, robust_zscore
from anomri.recipe import Size
from anomri.scan import Image, Mask, Scan, Volume

UPPER_DECILE = 1.2816  # of the standard normal distribution


def segment_coarsely(
    segmenters: Sequence[Segmenter],
    scan: Scan,
    device: torch.device,
    *,
    spacing_mm: Size = 2.0,
    brighter_than: float | None = None,
) -> NDArray[np.float32]:
    """Return (R, I, J, K) probabilities of the nested regions, 0 outside the brain.

    The scan and its mirror image are looked at side by side, each contrast standardised on the
    cubes; the mean returns to the scan's own voxels with one interpolation.

    Args:
        segmenters: their probabilities are averaged; each is moved to ``device`` for its turn.
        scan: with the contrasts of the segmenters, in their order; missing ones are 0.
        device: where the networks run.
        spacing_mm: side of the cubes.
        brighter_than: nothing is a lesion where the first contrast, at the scan's own detail, is
            not that bright, see :func:`brightness`; None asks nothing.
    """
    coarse = resample_to_isotropic(scan, spacing_mm)
    image = torch.from_numpy(network_input(coarse.image, coarse.brain))
    both = torch.stack([image, image.flip(1)]).to(device)
    each = [_segment(segmenter.to(device).eval(), both) for segmenter in segmenters]
    found = torch.stack(each).mean(0).cpu().numpy()
    probabilities = resample_to_grid(found, coarse.grid, scan.grid) * scan.brain
    if brighter_than is None:
        return probabilities
    bright = brightness(scan.image[0], scan.brain) > brighter_than
    return np.where(bright, probabilities, np.float32(0))


def network_input(image: Image, brain: Mask) -> Image:
    """Return (C, I, J, K) with each contrast standardised in the brain; missing ones stay 0."""
    result = np.zeros_like(image)
    for source, target in zip(image, result, strict=True):
        if source.any():
            target[brain] = robust_zscore(source[brain])
    return result


def brightness(volume: Volume, brain: Mask) -> Volume:
    """Return (v - median) / s in the brain, 0 outside; s is (P90 - median) / 1.2816.

    For a normal distribution s is its standard deviation. Only the brighter half counts: how much
    dark fluid a mask holds differs from one brain extraction to the next.

    Args:
        volume: (I, J, K).
        brain: (I, J, K).
    """
    result = np.zeros_like(volume)
    if brain.any():
        middle, top = np.percentile(volume[brain], [50, 90])
        spread = max((top - middle) / UPPER_DECILE, float(np.finfo(np.float32).tiny))
        result[brain] = (volume[brain] - middle) / spread
    return result


def _segment(segmenter: Segmenter, both: Tensor) -> Tensor:
    """Return (R, I, J, K), the mean over an image and its mirror image."""
    with torch.inference_mode():
        straight, mirrored = segmenter.segment(both)
    mean: Tensor = (straight + mirrored.flip(1)) / 2
    return mean
