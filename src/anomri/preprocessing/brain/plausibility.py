"""Plausibility check of an automatically found brain against the template.

A brain extraction network also draws a mask of a brain's size and shape into noise. So the brain is
registered to the template, coarsely and affinely, and the intensities inside are compared. The
measure is the mutual information of ranks, which does not depend on the contrast:

    I = sum over bins p(a, b) log(p(a, b) / (p(a) p(b))),  16 x 16 bins, in nats

over the voxels well inside both brains, so that the outline drawn by the network does not count.

Measured: 16 gliomas of ``brats2018``, train (FLAIR, T1CE) 0.036-0.18; whole heads of ``ixi_t1`` and
``nichart`` 0.046-0.19; ``open_ms`` with 4 mm slices 0.12-0.13; ``lgg`` slices without a voxel size
0.042-0.17. Noise, voxelwise or smoothed with 3 or 6 mm, in a cube or in a brain's shape, and a
uniform ball 0.005-0.012; a ball in a shell, which the network cuts through, 0.025; a synthetic
abdomen of large organs 0.031, which passes. In 22 whole heads a half turn reduced the mutual
information of the match (to 0.91 times at most); in one head stored upside down it increased it
1.21 times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.errors import Evidence, QualityRefused
from anomri.preprocessing.resampling import index_map, sample
from anomri.preprocessing.template.mni152 import RIM, template_registration_image
from anomri.preprocessing.template.registration import RegistrationResult
from anomri.preprocessing.template.registration_image import (
    RegistrationImage,
    inside_field_of_view,
)
from anomri.preprocessing.template.rough_registration import (
    MIN_OVERLAP,
    SCALES,
    SPACING_MM,
    register_by_intensities,
)
from anomri.preprocessing.template.template_registration import (
    REPAIR_ORIENTATION,
    brain_overlap,
    half_turn_axis,
    orientation_mismatch,
)
from anomri.scan import Affine, Grid, Mask, Volume

BINS = 16
MARGIN = 1  # voxels from the outlines of both brains
MIN_MUTUAL_INFORMATION = 0.02  # nats

_NEXT_STEP = "check the picture, and provide a mask with --brain-mask if it shows a brain"


def check_against_template(
    mask: Mask, grid: Grid, volume: Volume, *, name: str, tolerance: float = 1.0
) -> None:
    """Refuse a brain mask whose size, outline, content or orientation does not fit the template.

    Args:
        mask: (I, J, K) bool, one component.
        grid: grid of mask and volume.
        volume: (I, J, K), RAS+.
        name: file name, for errors.
        tolerance: factor that widens the limits of size and overlap, for an estimated voxel size.

    Raises:
        QualityRefused: after registration to the template a scale is outside 0.6 to 1.5, the two
            brains overlap by less than 0.8 (Dice), the mutual information inside is below 0.02
            nats, or the match improves after a half turn.
        MissingPiece: the template is not installed.
    """
    fixed = template_registration_image(SPACING_MM)
    moving, result = register_by_intensities(volume, mask, grid)
    next_step, mismatch = _NEXT_STEP, template_mismatch(fixed, moving, result, tolerance)
    if not mismatch and (axis := half_turn_axis(fixed, moving, result.coarse)):
        next_step, mismatch = REPAIR_ORIENTATION, orientation_mismatch(axis)
    if mismatch:
        expected, got = mismatch
        evidence = Evidence(volume, mask, grid.spacing)
        raise QualityRefused(
            name, expected=expected, got=got, next_step=next_step, evidence=evidence
        )


def template_mismatch(
    fixed: RegistrationImage,
    moving: RegistrationImage,
    result: RegistrationResult,
    tolerance: float = 1.0,
) -> tuple[str, str] | None:
    """Return the texts for `expected` and `got` of an implausible brain; None for a plausible one.

    Args:
        fixed: the template.
        moving: the scan.
        result: registration of the scan to the template.
        tolerance: factor that widens the limits of size and overlap.
    """
    smallest, largest = SCALES[0] / tolerance, SCALES[1] * tolerance
    scales = result.scales
    if scales.min() < smallest or scales.max() > largest:
        expected = f"a brain of {smallest:.2g} to {largest:.2g} times the template's size"
        return expected, f"{scales.min():.2f} to {scales.max():.2f}"
    overlap, _ = brain_overlap(fixed, moving, result.matrix)
    min_overlap = MIN_OVERLAP / tolerance
    if overlap < min_overlap:
        expected = f"a brain that overlaps with the template's by {min_overlap:g} (Dice)"
        return expected, f"{overlap:.3f}"
    nats = template_similarity(fixed, moving, result.matrix)
    if nats < MIN_MUTUAL_INFORMATION:
        expected = (
            "a brain whose intensities resemble the template's "
            f"(mutual information of at least {MIN_MUTUAL_INFORMATION:g} nats)"
        )
        return expected, f"{nats:.3f}, as in noise or in a uniform phantom"
    return None


def template_similarity(
    fixed: RegistrationImage, moving: RegistrationImage, matrix: Affine
) -> float:
    """Return the mutual information of the intensity ranks of scan and template, in nats.

    Args:
        fixed: the template.
        moving: the scan.
        matrix: (4, 4) template mm to native world mm.

    Returns:
        Nats over the voxels inside both brains and the field of view; 0 where there are none.
    """
    target = Grid(shape=fixed.grid.shape, affine=matrix @ fixed.grid.affine)
    index = index_map(moving.grid, target)
    eroded = ndimage.binary_erosion(moving.mask, iterations=MARGIN).astype(np.uint8)
    inside = sample(eroded, index, target.shape, linear=False) > 0
    inside &= ndimage.binary_erosion(fixed.mask, iterations=RIM + MARGIN)
    inside &= inside_field_of_view(moving.scan_grid, target)
    if not inside.any():
        return 0.0
    lowest = np.float32(moving.values.min())
    values = sample(moving.values - lowest, index, target.shape, linear=True)
    return rank_mutual_information(fixed.values[inside], values[inside])


def rank_mutual_information(
    first: NDArray[np.floating], second: NDArray[np.floating], bins: int = BINS
) -> float:
    """Return the mutual information of the ranks of two samples, in nats.

    Args:
        first: (N,).
        second: (N,).
        bins: number of bins per sample.

    >>> round(rank_mutual_information(np.arange(64.0), -np.arange(64.0), 2), 4)  # log 2
    0.6931
    """
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (first, second)]
    joint = np.histogram2d(ranks[0], ranks[1], bins=bins)[0] / len(first)
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    occupied = joint > 0
    return float(np.sum(joint[occupied] * np.log(joint[occupied] / independent[occupied])))
