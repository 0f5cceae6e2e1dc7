"""The scan's own grey matter as the yardstick of a lesion in it.

In FLAIR grey matter is brighter than white matter, and insula, cingulate gyrus and hippocampus,
whose T2 is longest (Georgiades et al., AJNR 2001;22:1732-1737), are brighter still. What is bright
enough for a lesion of the white matter may be healthy there.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, stats

from anomri.preprocessing import tissues_on
from anomri.scan import Scan, Volume

PURE = 0.8  # of the template's probability
FLUID = -2.0  # standard deviations; what is darker is fluid
MIN_VOXELS = 100
WHITE_SIGMA_MM = 3.0  # the registration misses the border of the white matter by as much


def grey_matter_penalty(values: Volume, scan: Scan, *, sd: float, level: float) -> Volume:
    """Return how much brighter than ``level`` a lesion must be where grey matter is bright.

    In the template's grey matter a lesion must be brighter than the scan's own grey matter by
    ``sd`` robust standard deviations of it, in its white matter than ``level``, and in between
    according to the mixture. It is 0 outside the brain, and everywhere in a scan that was not
    registered to the template.

    Args:
        values: (I, J, K) brightness, see :func:`~anomri.postprocessing.brightness`.
        scan: scan that the values are of.
        sd: robust standard deviations of the grey matter; 0 for no penalty.
        level: of a lesion in white matter.
    """
    tissues = tissues_on(scan.grid, scan.to_template) if sd else None
    if tissues is None:
        return np.zeros_like(values)
    grey, white = tissues
    own = values[scan.brain & (grey > PURE) & (values > FLUID)]
    if own.size < MIN_VOXELS:
        return np.zeros_like(values)
    spread = stats.median_abs_deviation(own, scale="normal")
    excess = max(float(np.median(own) + sd * spread) - level, 0.0)
    mixture = ndimage.gaussian_filter(white, [WHITE_SIGMA_MM / mm for mm in scan.grid.spacing])
    return np.where(scan.brain, excess * (1 - mixture.clip(0, 1)), 0).astype(np.float32)
