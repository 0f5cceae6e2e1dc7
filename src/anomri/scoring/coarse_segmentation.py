"""Segmentation of a whole scan in one pass, on the isotropic voxels of the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from anomri.models import Segmenter
from anomri.postprocessing import brightness
from anomri.preprocessing import resample_to_grid, resample_to_isotropic, robust_zscore
from anomri.recipe import Size
from anomri.scan import Image, Mask, Scan


def segment_coarsely(
    segmenters: Sequence[Segmenter],
    scan: Scan,
    device: torch.device,
    *,
    spacing_mm: Size = 2.0,
    brighter_than: float | None = None,
) -> NDArray[np.float32]:
    """Return (R, I, J, K) probabilities of the nested regions, 0 outside the brain.

    The scan is resampled to isotropic voxels, on which each contrast is standardised, and segmented
    together with its mirror image. The mean is resampled to the scan's grid once.

    Args:
        segmenters: networks whose probabilities are averaged; moved to ``device`` one by one.
        scan: scan with the contrasts of the segmenters, in their order; missing ones are 0.
        device: device of the networks.
        spacing_mm: side of the isotropic voxels.
        brighter_than: smallest :func:`~anomri.postprocessing.brightness` of a lesion in the first
            contrast, on the scan's own grid; None for no limit.
    """
    coarse = resample_to_isotropic(scan, spacing_mm)
    image = network_input(coarse.image, coarse.brain)
    results = [mean_over_mirror_image(segmenter, image, device) for segmenter in segmenters]
    mean = np.mean(results, axis=0)
    probabilities = resample_to_grid(mean, coarse.grid, scan.grid) * scan.brain
    if brighter_than is None:
        return probabilities
    bright = brightness(scan.image[0], scan.brain) > brighter_than
    return np.where(bright, probabilities, np.float32(0))


def network_input(image: Image, brain: Mask) -> Image:
    """Standardise each contrast of (C, I, J, K) within the brain; missing contrasts stay 0."""
    result = np.zeros_like(image)
    for source, target in zip(image, result, strict=True):
        if source.any():
            target[brain] = robust_zscore(source[brain])
    return result


def mean_over_mirror_image(
    segmenter: Segmenter, image: Image, device: torch.device
) -> NDArray[np.float32]:
    """Return (R, I, J, K) probabilities, the mean over an image and its mirror image.

    Args:
        segmenter: moved to ``device``.
        image: (C, I, J, K), see :func:`network_input`.
        device: device of the network.
    """
    straight = torch.from_numpy(np.ascontiguousarray(image))
    pair = torch.stack([straight, straight.flip(1)]).to(device)
    with torch.inference_mode():
        one, mirrored = segmenter.to(device).eval().segment(pair)
    mean: NDArray[np.float32] = ((one + mirrored.flip(1)) / 2).cpu().numpy()
    return mean
