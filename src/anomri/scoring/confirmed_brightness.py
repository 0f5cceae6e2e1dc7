"""Brightness of a scan without its linear bias field, with the network's doubt subtracted.

In FLAIR the cerebellum, or one end of the head, may be brighter than the rest by more than a
lesion: with the coil's field taken away, brightness means the same everywhere. What is bright is a
lesion more readily where a network that looks at shape and place agrees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from anomri.models import Segmenter
from anomri.postprocessing import brightness, without_linear_field
from anomri.recipe import Share, Size
from anomri.scan import Scan
from anomri.scoring.coarse_segmentation import segment_coarsely
from anomri.scoring.grey_matter import grey_matter_penalty


def confirmed_brightness(  # noqa: PLR0913 - the options of a recipe's step
    segmenters: Sequence[Segmenter],
    scan: Scan,
    device: torch.device,
    *,
    spacing_mm: Size = 2.0,
    min_probability: Share = 0.2,
    penalty: float = 1.0,
    penalty_above: float = 2.0,
    grey_matter_sd: float = 0.0,
    level: float = 3.0,
) -> NDArray[np.float32]:
    """Return (1, I, J, K) standard deviations above the brain's median, 0 outside the brain.

    Args:
        segmenters: networks whose probabilities are averaged; see :func:`segment_coarsely`.
        scan: scan with the contrasts of the segmenters, in their order.
        device: device of the networks.
        spacing_mm: side of the network's isotropic voxels.
        min_probability: of a lesion, above which the network agrees.
        penalty: standard deviations subtracted where it does not,
        penalty_above: from brighter values only, and not below this one.
        grey_matter_sd: a lesion in grey matter must be brighter than that by so many robust
            standard deviations; see :mod:`anomri.scoring.grey_matter`. 0 for no such rule.
        level: of a lesion in white matter, which the recipe has as its threshold.
    """
    flat = without_linear_field(scan.image[0], scan.brain, scan.grid.spacing)
    probability = segment_coarsely(segmenters, scan, device, spacing_mm=spacing_mm)[0]
    doubted = scan.brain & (probability <= min_probability)
    values, least = brightness(flat, scan.brain), np.float32(penalty_above)
    values -= grey_matter_penalty(values, scan, sd=grey_matter_sd, level=level)
    lowered = np.maximum(values - np.float32(penalty), np.minimum(values, least))
    return np.asarray(np.where(doubted, lowered, values)[None], dtype=np.float32)
