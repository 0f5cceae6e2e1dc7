"""How abnormal each voxel looks to a model.

A score is a function ``(family, images, reconstruction, *, options) -> values`` on tensors of one
shape, (N, C, *space); higher is more abnormal. Its keyword-only parameters are the options that a
recipe may give. It is called without gradients; one that needs them enables them itself.

To add a score: write one function and add one line to ``SCORES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anomri.models import Reconstructor
from anomri.recipe import Step, bind
from anomri.scan import AnomalyMap, Scan
from anomri.scoring.coarse_segmentation import segment_coarsely
from anomri.scoring.forward_passes import score_and_reconstruct
from anomri.scoring.residual import residual
from anomri.scoring.windowed_segmentation import segment_scan

SCORES: Mapping[str, Callable[..., Tensor]] = {"residual": residual}

# What stands in the place of a score where a network names regions itself.
SEGMENTATIONS: Mapping[str, Callable[..., NDArray[np.float32]]] = {
    "segment": segment_scan,
    "segment_coarsely": segment_coarsely,
}


def score_scan(
    family: Reconstructor, scan: Scan, step: Step, *, device: torch.device, batch_size: int = 32
) -> AnomalyMap:
    """Compare a scan with what a model expects, voxel by voxel.

    Args:
        family: a family of slices sees the axial slices that hold brain, a family of volumes the
            whole scan; both padded or cropped to its size around the centre. Is moved to
            ``device``.
        scan: with the contrasts of the family, in its order.
        step: a name of ``SCORES`` with its options.
        device: where the network runs; in bfloat16 where it is a CUDA device.
        batch_size: slices per pass.

    Returns:
        The map and the reconstruction, both 0 outside the brain.

    Raises:
        RecipeError: there is no such score or option, or its value is wrong.
    """
    score = bind(SCORES, step)
    family.to(device)
    if len(family.size) < 3:
        # Convolutions over slices run up to twice as fast in this order; torch's types lack it.
        family.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    values, reconstruction = score_and_reconstruct(
        family, scan, score, device=device, batch_size=batch_size
    )
    return AnomalyMap(scan=scan, values=values, reconstruction=reconstruction, score=step.name)
