"""A signature by which two images of one brain are recognised, whatever their grid and file.

It is the image on the template's 4 mm grid after the rough registration, without its slow changes,
as ranks. Its correlation between 16 training subjects of ``nichart`` was 0.72 at most; with copies
of 5 of them, turned, shifted, resampled to slices of 5 mm, brightened and with noise of a tenth of
their level added, 0.88 to 0.98. It compares images of one contrast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from anomri.preprocessing.resampling import anti_alias_sigma, index_map, sample
from anomri.preprocessing.template.mni152 import load_template, template_grid
from anomri.scan import Grid, Scan

SPACING_MM = 4.0
SLOW_MM = 20.0  # Gaussian sigma of what is removed
RIM = 2  # voxels of the template's brain that are left out
SAME_BRAIN = 0.8
SAME_IMAGE = 0.995


def brain_signature(scan: Scan) -> NDArray[np.float32] | None:
    """Return the signature of a scan's first contrast; None for an unregistered scan.

    Returns:
        (N,), the same N for all scans, of mean 0 and standard deviation 1: the correlation of two
        is the mean of their product.
    """
    if scan.to_template is None:
        return None
    values, own_grid = load_template()
    grid = template_grid(SPACING_MM)
    brain = sample(
        (values > 0).astype(np.uint8), index_map(own_grid, grid), grid.shape, linear=False
    )
    inside = ndimage.binary_erosion(brain > 0, iterations=RIM)
    sigma = [anti_alias_sigma(SPACING_MM / mm) for mm in scan.grid.spacing]
    smooth = ndimage.gaussian_filter(scan.image[0] - scan.image[0].min(), sigma)
    there = Grid(shape=grid.shape, affine=np.linalg.inv(scan.to_template) @ grid.affine)
    image = sample(smooth, index_map(scan.grid, there), grid.shape, linear=True)
    detail = image - ndimage.gaussian_filter(image, SLOW_MM / SPACING_MM)
    ranks = stats.rankdata(detail[inside])
    standardised = (ranks - ranks.mean()) / ranks.std()
    return np.asarray(standardised, dtype=np.float32)
