"""A healthy brain that differs from the next: MNI152 tissue maps under a random deformation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.scan import Affine, Mask, Volume
from anomri.synthesis.phantoms.fields import smooth_field

# Ventricles are the fluid that lies deeper in the brain than this.
VENTRICLE_DEPTH_MM = 22.0
# Width of the blur before sampling, in voxels of the result: enough against aliasing.
BLUR = 0.35
# The template is larger than a typical brain (1.88 l); this brings the mean to about 1.5 l.
MEAN_SCALE = 0.93


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    """The ICBM 152 2009a symmetric tissue maps that nilearn carries, on their 1 mm grid.

    They are blurred for the voxels that will sample them.

    Attributes:
        grey: (I, J, K) fraction of grey matter.
        white: (I, J, K) fraction of white matter.
        brain: (I, J, K) 1 in the brain, 0 outside.
        ventricles: (I, J, K) fraction of fluid in the lateral and third ventricles.
        affine: index to MNI world mm.
    """

    grey: Volume
    white: Volume
    brain: Volume
    ventricles: Volume
    affine: Affine

    @classmethod
    def load(cls, spacing_mm: float) -> Atlas:
        """Read the maps from the installed nilearn; nothing is downloaded.

        Args:
            spacing_mm: of the voxels that will sample them.
        """
        # Importing nilearn takes a second, which only those who make phantoms should pay.
        from nilearn.datasets import (
            load_mni152_brain_mask,
            load_mni152_gm_template,
            load_mni152_wm_template,
        )

        template = load_mni152_gm_template(resolution=1)
        grey = template.get_fdata(dtype=np.float32)
        white = load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
        brain = load_mni152_brain_mask(resolution=1).get_fdata(dtype=np.float32)
        fluid = np.clip(brain - grey - white, 0, 1)
        ventricles = _ventricles(fluid, brain > 0)
        blur = BLUR * spacing_mm if spacing_mm > 1 else 0.0
        return cls(
            grey=ndimage.gaussian_filter(grey, blur),
            white=ndimage.gaussian_filter(white, blur),
            brain=ndimage.gaussian_filter(brain, blur),
            ventricles=ndimage.gaussian_filter(ventricles, blur),
            affine=np.asarray(template.affine, dtype=np.float64),
        )


def _ventricles(fluid: Volume, brain: Mask) -> Volume:
    """Fluid of the largest pool deep in the brain: the lateral ventricles and the third."""
    pools, _ = ndimage.label((fluid > 0.5) & _deeper_than(VENTRICLE_DEPTH_MM, brain))
    largest = pools == np.bincount(pools[pools > 0]).argmax()
    # The border of the pool is where fluid is less than half.
    reach = ndimage.binary_dilation(largest, iterations=2)
    return np.where(reach, fluid, np.float32(0))


def _deeper_than(depth_mm: float, brain: Mask) -> Mask:
    """Voxels of 1 mm that lie this deep; every second one decides, which is eight times faster."""
    deep = ndimage.distance_transform_edt(brain[::2, ::2, ::2], sampling=2.0) > depth_mm
    for axis, length in enumerate(brain.shape):
        deep = deep.repeat(2, axis).take(range(length), axis)
    return deep


@dataclass(frozen=True, slots=True, kw_only=True)
class MassEffect:
    """Tissue pushed away from a growing mass.

    Attributes:
        centre_mm: of the mass, in MNI world mm.
        radius_mm: where the push is strongest.
        push_mm: how far tissue has moved there.
    """

    centre_mm: NDArray[np.float64]
    radius_mm: float
    push_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """One person's brain, on the grid of the scan to come.

    Attributes:
        fluid: (I, J, K) fraction of cerebrospinal fluid.
        grey: fraction of grey matter.
        white: fraction of white matter.
        ventricles: fraction of fluid in the ventricles, part of ``fluid``.
        brain: (I, J, K) bool.
        spacing_mm: voxel size, the same along all axes.
        affine: index to MNI world mm.
    """

    fluid: Volume
    grey: Volume
    white: Volume
    ventricles: Volume
    brain: Mask
    spacing_mm: float
    affine: Affine


def draw_anatomy(
    rng: np.random.Generator,
    atlas: Atlas,
    *,
    spacing_mm: float,
    mass: MassEffect | None = None,
) -> Anatomy:
    """Draw a person: size, shape, folding and amount of fluid vary.

    Args:
        rng: where the person comes from.
        atlas: the maps to deform.
        spacing_mm: voxel size of the result.
        mass: what pushes tissue away, if anything does.
    """
    extent = np.array(atlas.grey.shape)
    i, j, k = (int(length) for length in np.ceil(extent / spacing_mm))
    affine = atlas.affine @ np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    where = _deformation(rng, (i, j, k), spacing_mm)
    if mass is not None:
        centre = np.linalg.inv(atlas.affine) @ np.append(mass.centre_mm, 1.0)
        where -= _push(where, centre[:3], mass)
    grey, white, brain, ventricles = (
        ndimage.map_coordinates(tissue, where, order=1)
        for tissue in (atlas.grey, atlas.white, atlas.brain, atlas.ventricles)
    )
    inside = ndimage.binary_fill_holes(brain > 0.5)
    fluid, grey, white = _own_tissues(rng, grey, white, spacing_mm)
    return Anatomy(
        fluid=fluid * inside,
        grey=grey * inside,
        white=white * inside,
        ventricles=np.minimum(ventricles, fluid) * inside,
        brain=inside,
        spacing_mm=spacing_mm,
        affine=affine,
    )


def _deformation(
    rng: np.random.Generator, shape: tuple[int, int, int], spacing_mm: float
) -> NDArray[np.float32]:
    """(3, I, J, K) index into the 1 mm atlas for every voxel of the result."""
    index = np.indices(shape, dtype=np.float32) * np.float32(spacing_mm)
    centre = (np.array(shape, dtype=np.float32) * spacing_mm / 2)[:, None, None, None]
    scale = rng.normal(MEAN_SCALE, 0.03, 3).astype(np.float32)[:, None, None, None]
    where = ((index - centre) / scale + centre).astype(np.float32, copy=False)
    for knots_mm, amplitude_mm in ((45.0, 3.0), (16.0, 1.1)):
        for axis in range(3):
            where[axis] += amplitude_mm * smooth_field(rng, shape, knots=knots_mm / spacing_mm)
    return where


def _push(
    where: NDArray[np.float32], centre: NDArray[np.float64], mass: MassEffect
) -> NDArray[np.float32]:
    """Displacement away from the mass, strongest at its radius, in mm."""
    arm = where - centre.astype(np.float32)[:, None, None, None]
    ratio = np.sqrt((arm**2).sum(axis=0)) / mass.radius_mm
    pushed: NDArray[np.float32] = (
        arm * np.float32(mass.push_mm / mass.radius_mm) * np.exp((1 - ratio**2) / 2)
    )
    return pushed


def _own_tissues(
    rng: np.random.Generator, grey: Volume, white: Volume, spacing_mm: float
) -> tuple[Volume, Volume, Volume]:
    """Sharpen the population's average into one person's tissue, with folds of their own.

    An average of 152 brains is blurred; raising the fractions to a power and letting a random
    field decide where they are close gives crisp and individual borders.
    """
    fluid = np.clip(1 - grey - white, 0, 1)
    ageing = rng.normal(0.45, 0.35)
    logits = []
    for fraction, shift in ((fluid, ageing), (grey, 0.0), (white, 0.0)):
        field = smooth_field(rng, fraction.shape, knots=5.0 / spacing_mm)
        logits.append(2.2 * np.log(fraction + 1e-3) + 0.7 * field + shift)
    stack = np.stack(logits)
    stack = np.exp(stack - stack.max(axis=0))
    fluid, grey, white = stack / stack.sum(axis=0)
    return fluid, grey, white
