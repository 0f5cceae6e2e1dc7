"""A signature by which two images of one brain are recognised, whatever their grid and file.

It is the brain on the template's 4 mm grid after the rough registration, without its slow changes,
as ranks; what is not brain, or outside the field of view, does not count. ``docs/audit.md`` reports
what was measured. It compares images of one contrast.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations_with_replacement

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
BLOCK = 64  # signatures whose products are taken at a time: 65 MB


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


def brain_similarities(signatures: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the correlation of each pair of signatures in what both show.

    Args:
        signatures: (N,) each, or empty where there is none.

    Returns:
        (n, n) for n signatures; 0 where two show too little in common.
    """
    full = np.zeros((len(signatures), max((one.size for one in signatures), default=0)), np.float32)
    for row, signature in zip(full, signatures, strict=True):
        row[: signature.size] = signature
    similar = np.zeros((len(full), len(full)))
    blocks = [slice(start, start + BLOCK) for start in range(0, len(full), BLOCK)]
    for first, second in combinations_with_replacement(blocks, 2):
        similar[first, second] = _correlations(full[first], full[second])
        similar[second, first] = similar[first, second].T
    return similar


def _correlations(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (m, n) correlations of (m, N) and (n, N) signatures, from sums of products."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    in_a, in_b = (a != 0).astype(np.float64), (b != 0).astype(np.float64)
    shared = in_a @ in_b.T
    count = np.maximum(shared, 1)
    mean_a, mean_b = a @ in_b.T / count, in_a @ b.T / count
    covariance = a @ b.T / count - mean_a * mean_b
    variances = ((a * a) @ in_b.T / count - mean_a**2) * (in_a @ (b * b).T / count - mean_b**2)
    enough = shared > MIN_SHARED * np.maximum.outer(in_a.sum(axis=1), in_b.sum(axis=1))
    correlations: NDArray[np.float64] = np.zeros_like(shared)
    where = enough & (variances > 0)
    correlations[where] = covariance[where] / np.sqrt(variances[where])
    return correlations


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
