"""Fluid of the scan itself: its ventricles, and what surrounds the brain and fills its sulci.

A rough registration leaves large ventricles larger than the template's. The template therefore
only says where to look; the borders are those of the scan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anomri.postprocessing.state import MAD_TO_SIGMA, median_of
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
class FluidSpaces:
    """Fluid of a scan. Distances from it are measured around the box that they are asked for.

    Attributes:
        fluid: (I, J, K) bool; None where the scan does not show it.
        ventricles: (I, J, K) bool, part of it; None where only the template shows them.
        brain: (I, J, K) bool.
        template_mm: (I, J, K) distance from the template's ventricles.
        spacing: voxel size in mm.
    """

    fluid: Mask | None
    ventricles: Mask | None
    brain: Mask
    template_mm: Volume
    spacing: tuple[float, float, float]

    def near_ventricles(self, box: tuple[slice, ...], mm: float) -> Mask:
        """Return the voxels of a box at most ``mm`` from the ventricles."""
        if self.ventricles is None:
            return self.template_mm[box] <= mm
        wide, inner = _widened(box, mm, self.spacing)
        return _near(self.ventricles[wide], mm, self.spacing)[inner]

    def near_surface(self, box: tuple[slice, ...], mm: float) -> Mask:
        """Return the voxels at most ``mm`` from the outside of the brain or fluid of a sulcus."""
        wide, inner = _widened(box, mm, self.spacing)
        outside = ~self.brain[wide]
        if self.fluid is not None:
            outside |= self.fluid[wide] & ~self.near_ventricles(wide, APART_MM)
        return _near(outside, mm, self.spacing)[inner]


def fluid_spaces(
    volume: Volume,
    brain: Mask,
    lesions: Mask,
    anatomy: Anatomy,
    spacing: tuple[float, float, float],
    *,
    bright: bool = False,
) -> FluidSpaces:
    """Find the fluid of a scan, where it shows any.

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
    ventricles = None if fluid is None else _ventricles(fluid, anatomy)
    if ventricles is not None and np.count_nonzero(ventricles) < MIN_VENTRICLE_VOXELS:
        ventricles = None
    return FluidSpaces(fluid, ventricles, brain, anatomy.ventricle_mm, spacing)


def _fluid(values: Volume, healthy: Mask, anatomy: Anatomy) -> Mask | None:
    """Return the voxels that are closer to fluid than to tissue; None without a contrast."""
    deep = healthy & (anatomy.ventricle_mm <= NEAR_MM) & (anatomy.depth_mm > DEPTH_MM)
    if np.count_nonzero(deep) < MIN_VENTRICLE_VOXELS:
        return None
    inside = values[healthy]
    tissue = median_of(inside)
    spread = MAD_TO_SIGMA * median_of(np.abs(inside - tissue))
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


def _widened(
    box: tuple[slice, ...], mm: float, spacing: tuple[float, float, float]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return a box with all that lies within ``mm`` of it, and where the box lies in that."""
    reach = [int(mm / side) + 1 for side in spacing]
    wide = [slice(max(b.start - n, 0), b.stop + n) for b, n in zip(box, reach, strict=True)]
    inner = [slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True)]
    return tuple(wide), tuple(inner)


def _near(mask: Mask, mm: float, spacing: tuple[float, float, float]) -> Mask:
    if not mask.any():
        return mask
    away_mm = ndimage.distance_transform_edt(~mask, sampling=spacing).astype(np.float32)
    return np.asarray(away_mm <= mm)
