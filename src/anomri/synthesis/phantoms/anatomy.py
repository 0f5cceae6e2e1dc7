"""Random healthy brains: MNI152 tissue maps under a random deformation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.scan import Affine, Mask, Volume
from anomri.synthesis.phantoms.spline_fields import smooth_field

# Fluid that lies deeper in the brain than this is in the ventricles.
VENTRICLE_DEPTH_MM = 22.0
# Gaussian sigma of the blur before sampling, in voxels of the result, against aliasing.
BLUR = 0.35
# The template is larger than a typical brain (1.88 l); this brings the mean to about 1.5 l.
MEAN_SCALE = 0.93


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    """The ICBM 152 2009a symmetric tissue maps of nilearn, on their 1 mm grid.

    They are blurred to suit the voxel size at which they will be sampled.

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
            spacing_mm: voxel size at which they will be sampled.
        """
        # Importing nilearn takes a second, which only phantoms need.
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
    """Fluid of the largest component deep in the brain: the lateral and third ventricles."""
    components, _ = ndimage.label((fluid > 0.5) & _deeper_than(VENTRICLE_DEPTH_MM, brain))
    largest = components == np.bincount(components[components > 0]).argmax()
    # At the border the fluid fraction is below a half.
    vicinity = ndimage.binary_dilation(largest, iterations=2)
    return np.where(vicinity, fluid, np.float32(0))


def _deeper_than(depth_mm: float, brain: Mask) -> Mask:
    """Mask of 1 mm voxels this deep in the brain, computed at 2 mm, which is 8 times faster."""
    deep = ndimage.distance_transform_edt(brain[::2, ::2, ::2], sampling=2.0) > depth_mm
    for axis, length in enumerate(brain.shape):
        deep = deep.repeat(2, axis).take(range(length), axis)
    return deep


@dataclass(frozen=True, slots=True, kw_only=True)
class MassEffect:
    """Displacement of tissue by a growing mass.

    Attributes:
        centre_mm: centre of the mass in MNI world mm.
        radius_mm: distance of the largest displacement.
        push_mm: displacement at that distance.
    """

    centre_mm: NDArray[np.float64]
    radius_mm: float
    push_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The brain of one subject, on the grid of its scan.

    Attributes:
        fluid: (I, J, K) fraction of cerebrospinal fluid.
        grey: fraction of grey matter.
        white: fraction of white matter.
        ventricles: fraction of ventricular fluid, included in ``fluid``.
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
    """Draw a brain of random size, shape, folding and amount of fluid.

    Args:
        rng: random number generator.
        atlas: the maps to deform.
        spacing_mm: voxel size of the result.
        mass: mass effect of a lesion, if any.
    """
    extent = np.array(atlas.grey.shape)
    i, j, k = (int(length) for length in np.ceil(extent / spacing_mm))
    affine = atlas.affine @ np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    positions = _deformation(rng, (i, j, k), spacing_mm)
    if mass is not None:
        centre = np.linalg.inv(atlas.affine) @ np.append(mass.centre_mm, 1.0)
        positions -= _push(positions, centre[:3], mass)
    grey, white, brain, ventricles = (
        ndimage.map_coordinates(tissue, positions, order=1)
        for tissue in (atlas.grey, atlas.white, atlas.brain, atlas.ventricles)
    )
    inside = ndimage.binary_fill_holes(brain > 0.5)
    fluid, grey, white = _individual_tissues(rng, grey, white, spacing_mm)
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
    """Return (3, I, J, K), the position of each voxel in the 1 mm atlas."""
    index = np.indices(shape, dtype=np.float32) * np.float32(spacing_mm)
    centre = (np.array(shape, dtype=np.float32) * spacing_mm / 2)[:, None, None, None]
    scale = rng.normal(MEAN_SCALE, 0.03, 3).astype(np.float32)[:, None, None, None]
    positions = ((index - centre) / scale + centre).astype(np.float32, copy=False)
    for knots_mm, amplitude_mm in ((45.0, 3.0), (16.0, 1.1)):
        for axis in range(3):
            positions[axis] += amplitude_mm * smooth_field(rng, shape, knots=knots_mm / spacing_mm)
    return positions


def _push(
    positions: NDArray[np.float32], centre: NDArray[np.float64], mass: MassEffect
) -> NDArray[np.float32]:
    """Return the displacement away from the mass in mm, largest at its radius."""
    arm = positions - centre.astype(np.float32)[:, None, None, None]
    ratio = np.sqrt((arm**2).sum(axis=0)) / mass.radius_mm
    pushed: NDArray[np.float32] = (
        arm * np.float32(mass.push_mm / mass.radius_mm) * np.exp((1 - ratio**2) / 2)
    )
    return pushed


def _individual_tissues(
    rng: np.random.Generator, grey: Volume, white: Volume, spacing_mm: float
) -> tuple[Volume, Volume, Volume]:
    """Sharpen the population average into individual tissue borders and folds.

    An average of 152 brains is blurred. Raising the fractions to a power, with a random field that
    decides where they are close, gives crisp individual borders.
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
