"""Segmentation of a whole scan with sliding windows, mirrored copies and ensembles.

Myronenko 2018, section 4, averages eight mirrored copies of the input and ten networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anomri.models import Segmenter
from anomri.recipe import Share
from anomri.scan import CONFIRMED_BRIGHTNESS, AnomalyMap, Scan

SHOWN = "flair"
AXES = (2, 3, 4)
MIRRORED = tuple(chain.from_iterable(combinations(AXES, n) for n in range(len(AXES) + 1)))


def segment_scan(
    segmenters: Sequence[Segmenter],
    scan: Scan,
    device: torch.device,
    *,
    overlap: Share = 0.5,
    mirrored: bool = True,
) -> NDArray[np.float32]:
    """Return (R, I, J, K) probabilities of the nested regions, 0 outside the brain.

    Args:
        segmenters: networks whose probabilities are averaged; moved to ``device`` one by one.
        scan: scan of any size with the contrasts of the segmenters, in their order.
        device: device of the networks; CUDA devices compute in bfloat16.
        overlap: overlap of neighbouring windows as a share of their side; windows are weighted by
            a Gaussian.
        mirrored: average over the eight mirrored copies of the scan.
    """
    images = torch.from_numpy(np.ascontiguousarray(scan.image))[None].to(device)
    copies = MIRRORED if mirrored else ((),)
    total = torch.zeros((), device=device)
    for segmenter in segmenters:
        segmenter.to(device).eval()
        for axes in copies:
            result = _segment(segmenter, images.flip(axes), overlap).flip(axes)
            total = total + result / (len(copies) * len(segmenters))
    probabilities: NDArray[np.float32] = total[0].cpu().numpy()
    return np.where(scan.brain, probabilities, np.float32(0))


def tumour_map(scan: Scan, values: NDArray[np.float32], score: str = "segment") -> AnomalyMap:
    """Return the first of a segmenter's values as a map of the FLAIR, or the first contrast.

    Args:
        scan: the segmented scan.
        values: (R, I, J, K), the whole tumour first.
        score: name of the function that made them; all but one make probabilities.
    """
    shown = scan.contrasts.index(SHOWN) if SHOWN in scan.contrasts else 0
    shown_scan = replace(scan, image=scan.image[[shown]], contrasts=(scan.contrasts[shown],))
    values = values[:1]
    return AnomalyMap(
        scan=shown_scan,
        values=values,
        reconstruction=np.zeros_like(values),
        score=score if score == CONFIRMED_BRIGHTNESS else "tumour probability",
    )


def _segment(segmenter: Segmenter, images: Tensor, overlap: float) -> Tensor:
    """Segment sliding windows of the segmenter's size; smaller scans are padded with 0."""
    from monai.inferers.utils import sliding_window_inference  # takes seconds to import

    on_cuda = images.device.type == "cuda"
    with (
        torch.inference_mode(),
        torch.autocast(images.device.type, torch.bfloat16, enabled=on_cuda),
    ):
        probabilities = sliding_window_inference(
            images,
            roi_size=segmenter.size,
            sw_batch_size=1,
            predictor=segmenter.segment,
            overlap=overlap,
            mode="gaussian",
        )
    return cast(Tensor, probabilities).float()
