"""Fluid of the scan itself: its ventricles, and what surrounds the brain and fills its sulci.

A rough registration leaves large ventricles larger than the template's. The template therefore
only says where to look; the borders are those of the scan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anomri.scan import Anatomy, Mask, Volume

NEAR_MM = 10.0  # of the template's ventricles: where the level of fluid is read
WITHIN_MM = 15.0  # of the template's ventricles: how far the scan's own may reach
DEPTH_MM = 10.0  # below the template's surface: fluid less deep lies in sulci
LOWEST = 4.0  # percentile of the values there that is the level of fluid
MIN_CONTRAST_SD = 2.0  # of fluid and tissue, in robust standard deviations of the brain
MIN_VENTRICLE_VOXELS = 100
APART_MM = 6.0  # fluid this close to the ventricles is not in a sulcus
BRIGHT = ("t2",)  # contrasts in which fluid is brighter than tissue
TOUCHING = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, slots=True)
class FluidDistances:
    """Distances from the fluid spaces.

    Attributes:
        ventricle_mm: (I, J, K) from the ventricles.
        surface_mm: (I, J, K) from the outside of the brain and the fluid of the sulci; None where
            the scan does not show fluid.
    """

    ventricle_mm: Volume
    surface_mm: Volume | None


def fluid_distances(
    volume: Volume,
    brain: Mask,
    lesions: Mask,
    anatomy: Anatomy,
    spacing: tuple[float, float, float],
    *,
    bright: bool = False,
) -> FluidDistances:
    """Measure the distances from the fluid of a scan; the template's where it shows none.

    Args:
        volume: (I, J, K), in any unit.
        brain: (I, J, K) bool.
        lesions: (I, J, K) bool; they are not fluid, however dark their middle is.
        anatomy: of the template, on the same grid.
        spacing: voxel size in mm.
        bright: whether fluid is brighter than tissue, as in T2.
    """
    values = -volume if bright else volume
    fluid = _fluid(values, brain & ~lesions, anatomy)
    if fluid is None:
        return FluidDistances(anatomy.ventricle_mm, None)
    ventricles = _ventricles(fluid, anatomy)
    if np.count_nonzero(ventricles) < MIN_VENTRICLE_VOXELS:
        ventricle_mm = anatomy.ventricle_mm
    else:
        ventricle_mm = _distance_mm(ventricles, spacing)
    outside = ~brain | (fluid & (ventricle_mm > APART_MM))
    return FluidDistances(ventricle_mm, _distance_mm(outside, spacing))


def _fluid(values: Volume, healthy: Mask, anatomy: Anatomy) -> Mask | None:
    """Return the voxels that are closer to fluid than to tissue; None without a contrast."""
    deep = healthy & (anatomy.ventricle_mm <= NEAR_MM) & (anatomy.depth_mm > DEPTH_MM)
    if np.count_nonzero(deep) < MIN_VENTRICLE_VOXELS:
        return None
    tissue = float(np.median(values[healthy]))
    spread = 1.4826 * float(np.median(np.abs(values[healthy] - tissue)))
    level = float(np.percentile(values[deep], LOWEST))
    if tissue - level <= MIN_CONTRAST_SD * spread:
        return None
    return healthy & (values < (tissue + level) / 2)


def _ventricles(fluid: Mask, anatomy: Anatomy) -> Mask:
    """Return the fluid near the template's ventricles that is connected with what lies in them."""
    near = fluid & (anatomy.ventricle_mm <= WITHIN_MM) & (anatomy.depth_mm > DEPTH_MM)
    components, count = ndimage.label(near & ~anatomy.infratentorial, TOUCHING)
    reached = np.zeros(count + 1, bool)
    reached[components[anatomy.ventricle_mm <= 0.5]] = True
    reached[0] = False
    return np.asarray(reached[components])


def _distance_mm(mask: Mask, spacing: tuple[float, float, float]) -> Volume:
    return ndimage.distance_transform_edt(~mask, sampling=spacing).astype(np.float32)
