"""The regions of a tumour as BraTS numbers them, and their colours on every picture and page."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

from anomri.scan import Labels

REGION_NAMES = (
    (1, "necrotic and non-enhancing tumour core", "NCR", "#d55e00"),
    (2, "peritumoural edema", "ED", "#009e73"),
    (4, "enhancing tumour", "ET", "#f0e442"),
)
"""BraTS number, name, abbreviation and colour of each region."""

FILL = 0.65  # tissue stays visible through the colour


def paint(labels: Labels) -> NDArray[np.float64]:
    """Return the colours (..., RGBA) of BraTS labels; clear where there are none."""
    painted = np.zeros((*labels.shape, 4))
    for number, _, _, colour in REGION_NAMES:
        painted[labels == number] = to_rgba(colour, FILL)
    return painted
