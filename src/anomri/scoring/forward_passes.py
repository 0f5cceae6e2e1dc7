"""Forward passes of a reconstructor over a scan, in batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anomri.models import Reconstructor
from anomri.scan import Image, Scan
from anomri.scoring.windows import Window, as_slice, as_stack

Score = Callable[[Reconstructor, Tensor, Tensor], Tensor]

log = logging.getLogger(__name__)


def score_and_reconstruct(
    network: Reconstructor, scan: Scan, score: Score, *, device: torch.device, batch_size: int
) -> tuple[Image, Image]:
    """Return scores and reconstruction of a scan, both (C, I, J, K) and 0 outside the brain.

    Args:
        network: reconstructor on ``device``; one without a size takes whole slices.
        scan: scan with the network's contrasts.
        score: maps network, images and reconstruction to values, all (N, C, *space).
        device: device of the network.
        batch_size: items per pass; slices without brain are skipped.
    """
    size = network.size or scan.brain.shape[:2]
    brain = as_stack(scan.brain, len(size))
    window = _window(scan, brain, size)
    image = as_stack(scan.image, len(size))
    values, reconstruction = np.zeros_like(scan.image), np.zeros_like(scan.image)
    results = [as_stack(result, len(size)) for result in (values, reconstruction)]
    with in_evaluation(network):
        for indices in batches(brain, batch_size):
            # Whole slices need no frame, nor the copy that would put their voxels in another order.
            part = window.take(image, indices) if network.size else image[as_slice(indices)]
            inputs = torch.from_numpy(part).to(device)
            for result, outputs in zip(results, _pass(network, inputs, score), strict=True):
                window.put(result, indices, outputs.cpu().numpy())
    for result in (values, reconstruction):
        np.copyto(result, 0, where=~scan.brain)
    return values, reconstruction


def _pass(network: Reconstructor, images: Tensor, score: Score) -> tuple[Tensor, Tensor]:
    """Return values and reconstruction; a score that needs gradients may enable them."""
    on_cuda = images.device.type == "cuda"
    with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, enabled=on_cuda):
        reconstruction = network.reconstruct(images).float()  # may be part of a gradient
        return score(network, images, reconstruction).float(), reconstruction


def _window(scan: Scan, brain: NDArray[np.bool_], size: tuple[int, ...]) -> Window:
    window = Window.centred(brain.shape[1:], size)
    if window.crops(brain):
        log.warning(
            "%s: the brain extends beyond the %s voxels of the network's input, where nothing is "
            "detected. Next: prepare the scan with the recipe's shape.",
            scan.subject,
            " x ".join(map(str, size)),
        )
    return window


def batches(brain: NDArray[np.bool_], batch_size: int) -> list[NDArray[np.intp]]:
    """Return the indices of the stack's items that hold brain, in batches."""
    indices = np.flatnonzero(brain.any(axis=tuple(range(1, brain.ndim))))
    return [indices[start : start + batch_size] for start in range(0, indices.size, batch_size)]


@contextmanager
def in_evaluation(network: Reconstructor) -> Iterator[None]:
    """Put a network into evaluation mode, and restore its mode afterwards."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        if was_training:
            network.train()
