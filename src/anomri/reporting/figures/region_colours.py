"""The regions of a tumour as BraTS numbers them, and their colours on every picture and page."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from anomri.scan import Labels

REGION_NAMES = (
    (1, "necrotic and non-enhancing tumour core", "NCR", "#d55e00"),
    (2, "peritumoural edema", "ED", "#009e73"),
    (4, "enhancing tumour", "ET", "#f0e442"),
)
"""BraTS number, name, abbreviation and colour of each region."""

FILL = 0.65  # tissue stays visible through the colour


def paint(pixels: NDArray[np.uint8], labels: Labels) -> NDArray[np.uint8]:
    """Return pixels (..., RGB) with the colours of BraTS labels (...) over them."""
    painted = pixels.copy()
    for number, _, _, colour in REGION_NAMES:
        region, over = labels == number, FILL * 255 * np.array(to_rgb(colour))
        painted[region] = np.round(over + (1 - FILL) * pixels[region])
    return painted
