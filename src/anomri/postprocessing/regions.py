"""Regions of a tumour as BraTS label numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Labels, Mask

EDEMA, NECROSIS, ENHANCING = 2, 1, 4


def nested_labels(probabilities: NDArray[np.float32], cut: float, whole: Mask) -> Labels:
    """Turn probabilities of nested regions into label numbers.

    What is enhancing is 4, the rest of the core 1 and the rest of the tumour 2.

    Args:
        probabilities: (3, I, J, K) of whole tumour, core and enhancing tumour.
        cut: a region is where its probability is above it.
        whole: (I, J, K), the tumour after its mask was refined; no label lies outside.
    """
    _, core, enhancing = (probabilities > cut) & whole
    labels = np.select([enhancing, core & whole, whole], [ENHANCING, NECROSIS, EDEMA], default=0)
    return labels.astype(np.uint8)
