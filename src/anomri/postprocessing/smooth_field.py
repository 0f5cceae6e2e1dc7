"""Smooth field of a map, such as the bias field of a coil, subtracted with doubt.

A polynomial fitted to tissue takes away a bias field, but also a part of a large lesion; how many
degrees a scan needs cannot be told from the scan alone. The mean of the polynomials of degree 0, 1
and so on is subtracted: a model average (Hoeting et al. 1999) with equal weights.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.polynomial import polygrid3d, polyvander3d
from numpy.typing import NDArray

from anomri.postprocessing.lattice import lattice
from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Count

TISSUE = 2.0  # values farther from the field are fluid or lesions
LENGTH_MM = 80.0  # half of a brain: keeps the powers of the coordinates near 1
ITERATIONS = 5
FEWEST_VOXELS = 5  # for each term of a polynomial

Array = NDArray[np.float64]


def subtract_field(state: SegmentationState, *, degree: Count = 2) -> SegmentationState:
    """Subtract the mean of the polynomials of degree 0 to ``degree`` that are fitted to tissue.

    The polynomial of degree 0 is 0. A brain with too few voxels for a fit is returned as it is.

    Args:
        state: the map, in robust standard deviations of the brain.
        degree: the highest total degree.
    """
    if not state.brain.any():
        return state
    box = crop_around(state.brain)
    brain, spacing = state.brain[box], state.spacing
    x, y, z = axes = [
        (np.arange(length) - (length - 1) / 2) * side / LENGTH_MM
        for length, side in zip(brain.shape, spacing, strict=True)
    ]
    places = lattice(brain.shape, spacing)
    kept = np.nonzero(brain[np.ix_(*places)])
    points = [axis[place][n] for axis, place, n in zip(axes, places, kept, strict=True)]
    values = state.values[box][np.ix_(*places)][kept].astype(np.float64)
    polynomials = [_polynomial(points, values, n, degree) for n in range(1, degree + 1)]
    field = polygrid3d(x, y, z, np.sum(polynomials, axis=0) / (degree + 1))
    subtracted = state.values.copy()
    subtracted[box] -= field.astype(np.float32)
    return state.with_values(subtracted)


def _polynomial(points: list[Array], values: Array, degree: int, highest: int) -> Array:
    """Fit a polynomial of total degree ``degree`` to the values that are near it.

    Returns:
        (highest + 1,) * 3 coefficients by the powers of the three coordinates; 0 if there are too
        few values.
    """
    side = highest + 1
    terms = np.indices((side,) * 3).sum(axis=0).ravel() <= degree
    coefficients = np.zeros(side**3)
    x, y, z = points
    columns = polyvander3d(x, y, z, [highest] * 3)[:, terms]
    residuals = values
    for _ in range(ITERATIONS):
        near = np.abs(residuals) < TISSUE
        if np.count_nonzero(near) < FEWEST_VOXELS * np.count_nonzero(terms):
            return np.zeros((side,) * 3)
        coefficients[terms] = np.linalg.lstsq(columns[near], values[near], rcond=None)[0]
        residuals = values - columns @ coefficients[terms]
    return coefficients.reshape((side,) * 3)
