"""Takes a scan through a network, batch by batch."""

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
from anomri.scoring.windows import Window, as_stack

Score = Callable[[Reconstructor, Tensor, Tensor], Tensor]

log = logging.getLogger(__name__)


def score_and_reconstruct(
    family: Reconstructor, scan: Scan, score: Score, *, device: torch.device, batch_size: int
) -> tuple[Image, Image]:
    """Return scores and reconstruction of a scan, both (C, I, J, K) and 0 outside the brain.

    Args:
        family: on ``device``; a family without a size takes whole slices.
        scan: is only read.
        score: maps family, images and reconstruction to values, all (N, C, *space).
        device: where the network runs.
        batch_size: items per pass; slices without brain are left out.
    """
    size = family.size or scan.brain.shape[:2]
    brain = as_stack(scan.brain, len(size))
    window = _window(scan, brain, size)
    image = as_stack(scan.image, len(size))
    values, reconstruction = np.zeros_like(scan.image), np.zeros_like(scan.image)
    results = [as_stack(result, len(size)) for result in (values, reconstruction)]
    with in_evaluation(family):
        for chosen in batches(brain, batch_size):
            inputs = torch.from_numpy(window.take(image, chosen)).to(device)
            for result, outputs in zip(results, _pass(family, inputs, score), strict=True):
                window.put(result, chosen, outputs.cpu().numpy())
    for result in (values, reconstruction):
        np.copyto(result, 0, where=~scan.brain)
    return values, reconstruction


def _pass(family: Reconstructor, images: Tensor, score: Score) -> tuple[Tensor, Tensor]:
    """Return values and reconstruction; a score that needs gradients may switch them on."""
    on_cuda = images.device.type == "cuda"
    with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, enabled=on_cuda):
        with torch.inference_mode():
            reconstruction = family.reconstruct(images).float()
        return score(family, images, reconstruction).float(), reconstruction


def _window(scan: Scan, brain: NDArray[np.bool_], size: tuple[int, ...]) -> Window:
    window = Window.centred(brain.shape[1:], size)
    if window.loses(brain):
        log.warning(
            "%s: the brain reaches beyond the %s voxels that the model looks at; "
            "nothing is found there. Next: prepare the scan with the recipe's shape.",
            scan.subject,
            " x ".join(map(str, size)),
        )
    return window


def batches(brain: NDArray[np.bool_], batch_size: int) -> list[NDArray[np.intp]]:
    """Number the items of the stack that hold brain, a batch at a time."""
    held = np.flatnonzero(brain.any(axis=tuple(range(1, brain.ndim))))
    return [held[start : start + batch_size] for start in range(0, held.size, batch_size)]


@contextmanager
def in_evaluation(family: Reconstructor) -> Iterator[None]:
    """Switch dropout and batch statistics off, and back on where they were on."""
    was_training = family.training
    family.eval()
    try:
        yield
    finally:
        if was_training:
            family.train()
