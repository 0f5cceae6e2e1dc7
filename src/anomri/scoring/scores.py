"""Anomaly scores of voxels, by name.

A score is a function ``(network, images, reconstruction, *, options) -> values`` on tensors of one
shape, (N, C, *space); higher is more abnormal. Its keyword-only parameters are its options in a
recipe. It is called without gradients and may enable them.

To add a score: write one function and add one line to ``SCORES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anomri.models import Reconstructor
from anomri.recipe import SCORE_GROUP, ExtensibleTable, Step, bind
from anomri.scan import CONFIRMED_BRIGHTNESS, AnomalyMap, Scan
from anomri.scoring.coarse_segmentation import segment_coarsely
from anomri.scoring.confirmed_brightness import confirmed_brightness
from anomri.scoring.forward_passes import score_and_reconstruct
from anomri.scoring.residual import residual
from anomri.scoring.windowed_segmentation import segment_scan

SCORES: Mapping[str, Callable[..., Tensor]] = ExtensibleTable(SCORE_GROUP, {"residual": residual})

# Used in place of a score if the network is a segmenter.
SEGMENTATIONS: Mapping[str, Callable[..., NDArray[np.float32]]] = {
    "segment": segment_scan,
    "segment_coarsely": segment_coarsely,
    CONFIRMED_BRIGHTNESS: confirmed_brightness,
}


def score_scan(
    network: Reconstructor, scan: Scan, step: Step, *, device: torch.device, batch_size: int = 32
) -> AnomalyMap:
    """Reconstruct a scan and score each voxel.

    Args:
        network: moved to ``device``. A network of slices processes the axial slices that hold
            brain, a network of volumes the whole scan; both padded or cropped to its size around
            the centre.
        scan: scan with the contrasts of the network, in their order.
        step: a name of ``SCORES`` with its options.
        device: device of the network; CUDA devices compute in bfloat16.
        batch_size: slices per pass.

    Returns:
        The map and the reconstruction, both 0 outside the brain.

    Raises:
        RecipeError: unknown score or option, or a wrong value.
    """
    score = bind(SCORES, step)
    network.to(device)
    if len(network.size) < 3:
        # Up to twice as fast for 2-D convolutions; missing from torch's type annotations.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    values, reconstruction = score_and_reconstruct(
        network, scan, score, device=device, batch_size=batch_size
    )
    return AnomalyMap(scan=scan, values=values, reconstruction=reconstruction, score=step.name)
