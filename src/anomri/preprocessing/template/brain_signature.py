"""A signature by which two images of one brain are recognised, whatever their grid and file.

It is the brain on the template's 4 mm grid after the rough registration, without its slow changes,
as ranks; what is not brain, or outside the field of view, does not count. ``docs/audit.md`` reports
what was measured. It compares images of one contrast.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from anomri.preprocessing.resampling import anti_alias_sigma, index_map, sample
from anomri.preprocessing.template.mni152 import load_template, template_grid
from anomri.scan import Grid, Mask, Scan, Volume

SPACING_MM = 4.0
SLOW_MM = 10.0  # Gaussian sigma of what is removed
RIM = 2  # voxels of the template's brain that are left out
MIN_SHARED = 0.5  # of the voxels of either brain that both must have
SAME_BRAIN = 0.66
SAME_IMAGE = 0.995


def brain_signatures(scan: Scan) -> dict[str, NDArray[np.float32]]:
    """Return the signature of each contrast of a scan; none for an unregistered scan.

    Returns:
        By contrast: (N,), the same N for all scans; 0 where the scan shows no brain.
    """
    if scan.to_template is None:
        return {}
    grid = template_grid(SPACING_MM)
    there = Grid(shape=grid.shape, affine=np.linalg.inv(scan.to_template) @ grid.affine)
    brain = _moved(scan.brain.astype(np.float32), scan.grid, there) > 0.9
    return {
        contrast: _signature(_moved(image - image.min(), scan.grid, there), brain)
        for contrast, image in zip(scan.contrasts, scan.image, strict=True)
    }


def brain_similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the correlation of two signatures in what both show; 0 where that is too little."""
    shared = (first != 0) & (second != 0)
    largest = max(np.count_nonzero(first), np.count_nonzero(second))
    if np.count_nonzero(shared) <= MIN_SHARED * largest:
        return 0.0
    return float(np.corrcoef(first[shared], second[shared])[0, 1])


def _moved(volume: Volume, own: Grid, there: Grid) -> Volume:
    """Return a volume on the grid of signatures; 0 outside its field of view."""
    sigma = [anti_alias_sigma(SPACING_MM / mm) for mm in own.spacing]
    smooth = ndimage.gaussian_filter(volume, sigma)
    moved: Volume = sample(smooth, index_map(own, there), there.shape, linear=True)
    return moved


def _signature(image: Volume, brain: Mask) -> NDArray[np.float32]:
    """Return the ranks of the fine structure in the brain, of mean 0 and standard deviation 1."""
    weight = brain.astype(np.float32)
    slow, total = (
        ndimage.gaussian_filter(part, SLOW_MM / SPACING_MM) for part in (image * weight, weight)
    )
    inside = _inner_brain()
    seen = brain[inside]
    signature = np.zeros(seen.size, np.float32)
    if seen.any():
        detail = image - slow / np.maximum(total, 1e-3)
        signature[seen] = stats.zscore(stats.rankdata(detail[inside][seen]))
    return signature


@cache
def _inner_brain() -> Mask:
    """Return the template's brain without its rim, on the grid of signatures."""
    values, own = load_template()
    grid = template_grid(SPACING_MM)
    brain = sample((values > 0).astype(np.uint8), index_map(own, grid), grid.shape, linear=False)
    return np.asarray(ndimage.binary_erosion(brain > 0, iterations=RIM))
