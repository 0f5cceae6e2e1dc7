"""Smooth random fields from cubic B-splines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Volume


def smooth_field(rng: np.random.Generator, shape: tuple[int, int, int], *, knots: float) -> Volume:
    """Draw a field that is standard normal at every voxel and smooth between neighbours.

    A cubic B-spline over a lattice of random coefficients, the free-form deformation of Rueckert et
    al. 1999 (IEEE TMI 18:712, eq. 1), evaluated as one matrix product per axis.

    Args:
        rng: random number generator.
        shape: voxels along I, J and K.
        knots: distance of lattice points in voxels, the length over which the field varies.
    """
    bases = [_basis(length, knots) for length in shape]
    field = rng.standard_normal([basis.shape[1] for basis in bases]).astype(np.float32)
    for basis in bases:
        # Contracting the first axis appends the new one last, so three turns restore the order.
        field = np.tensordot(field, basis, axes=(0, 1))
    return field


def _basis(length: int, knots: float) -> NDArray[np.float32]:
    """(length, coefficients) cubic B-spline weights, each row of unit Euclidean length."""
    position = np.arange(length) / knots
    count = int(position[-1]) + 4
    distance = np.abs(position[:, None] - (np.arange(count)[None] - 1))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return weights.astype(np.float32)
