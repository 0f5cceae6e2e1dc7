"""Gliomas and white-matter lesions, grown in the tissue of a phantom.

Ground truth has the label numbers of BraTS: 1 necrosis, 2 edema, 4 enhancing; white-matter
lesions are 2, like other FLAIR hyperintensities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

from anomri.scan import ML_PER_MM3, Labels, Mask, Volume
from anomri.synthesis.phantoms.anatomy import Anatomy, Atlas, MassEffect
from anomri.synthesis.phantoms.signal import EDEMA, ENHANCING, HYPERINTENSITY, NECROSIS
from anomri.synthesis.phantoms.spline_fields import smooth_field

NUMBERS = {NECROSIS: 1, EDEMA: 2, ENHANCING: 4}
# Cost of spreading through each tissue, relative to white matter.
GREY_COST, FLUID_COST, OUTSIDE_COST = 6.0, 15.0, 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """The lesions of a phantom.

    Attributes:
        truth: (I, J, K) labels.
        fractions: (I, J, K) fraction of each voxel by tissue name, with soft borders.
    """

    truth: Labels
    fractions: Mapping[str, Volume]


@dataclass(frozen=True, slots=True, kw_only=True)
class GliomaPlan:
    """Size and position of a glioma.

    Attributes:
        whole_ml: volume of edema, rim and necrosis.
        core_ml: volume of rim and necrosis.
        rim_mm: thickness of the enhancing rim.
        mass: its mass effect, with the same centre.
    """

    whole_ml: float
    core_ml: float
    rim_mm: float
    mass: MassEffect

    @classmethod
    def draw(cls, rng: np.random.Generator, atlas: Atlas) -> GliomaPlan:
        """Draw a glioma of 25 to 110 ml in the white matter of the hemispheres."""
        whole_ml = float(np.exp(rng.uniform(np.log(25), np.log(110))))
        core_ml = whole_ml * rng.uniform(0.15, 0.4)
        radius_mm = float((3 * core_ml / ML_PER_MM3 / (4 * np.pi)) ** (1 / 3))
        mass = MassEffect(
            centre_mm=_draw_centre(rng, atlas),
            radius_mm=radius_mm,
            push_mm=radius_mm * rng.uniform(0.15, 0.35),
        )
        return cls(
            whole_ml=whole_ml, core_ml=core_ml, rim_mm=float(rng.uniform(3.0, 6.0)), mass=mass
        )


def _draw_centre(rng: np.random.Generator, atlas: Atlas) -> NDArray[np.float64]:
    """Return a white-matter point deep in a hemisphere, above the cerebellum, in MNI mm."""
    inside = ndimage.minimum_filter(atlas.brain[::4, ::4, ::4], size=7)
    index = 4.0 * np.argwhere((atlas.white[::4, ::4, ::4] > 0.8) & (inside > 0.5))
    world = index @ atlas.affine[:3, :3].T + atlas.affine[:3, 3]
    candidates = world[(np.abs(world[:, 0]) > 18) & (world[:, 2] > -8) & (world[:, 2] < 55)]
    centre: NDArray[np.float64] = candidates[rng.integers(len(candidates))]
    return centre


def grow_glioma(rng: np.random.Generator, anatomy: Anatomy, plan: GliomaPlan) -> Lesion:
    """Grow an irregular core, then edema along the paths of least cost.

    The core is an ellipsoid whose radius is distorted by a random field. Edema is the set of voxels
    nearest to the core by cost distance: low in white matter, high in grey matter, very high in
    fluid; its border is soft. The rim is the outer shell of the core, with varying thickness and
    gaps.
    """
    voxel_ml = anatomy.spacing_mm**3 * ML_PER_MM3
    tissue = anatomy.brain & (anatomy.fluid < 0.6)
    core = _core(rng, anatomy, plan) & tissue
    cost = _cost_from(core, rng, anatomy)
    reached = np.sort(cost[tissue & ~core])
    count = max(0, int(plan.whole_ml / voxel_ml) - int(core.sum()))
    edge = float(reached[min(count, len(reached) - 1)])
    edema = (cost < edge) & tissue & ~core
    rim = _rim(rng, core, plan.rim_mm, anatomy.spacing_mm)
    truth = np.zeros(core.shape, np.uint8)
    truth[edema] = NUMBERS[EDEMA]
    truth[core] = NUMBERS[NECROSIS]
    truth[rim] = NUMBERS[ENHANCING]
    return Lesion(truth=truth, fractions=_fractions(truth, cost, edge, anatomy))


def _core(rng: np.random.Generator, anatomy: Anatomy, plan: GliomaPlan) -> Mask:
    centre = np.linalg.inv(anatomy.affine) @ np.append(plan.mass.centre_mm, 1.0)
    arm = np.indices(anatomy.brain.shape, dtype=np.float32) - centre[:3, None, None, None]
    stretch = rng.uniform(0.8, 1.25, 3)[:, None, None, None]
    coarse, fine = (
        smooth_field(rng, anatomy.brain.shape, knots=mm / anatomy.spacing_mm) for mm in (16, 7)
    )
    radius = np.sqrt(((arm / stretch) ** 2).sum(axis=0)) * np.exp(0.25 * coarse + 0.1 * fine)
    radius[~anatomy.brain | (anatomy.fluid >= 0.6)] = np.inf
    count = int(plan.core_ml / (anatomy.spacing_mm**3 * ML_PER_MM3))
    core: Mask = radius <= np.partition(radius.ravel(), count)[count]
    return core


def _cost_from(core: Mask, rng: np.random.Generator, anatomy: Anatomy) -> Volume:
    """Return the cost distance from the core, within 40 mm; infinite beyond."""
    margin = int(40 / anatomy.spacing_mm)
    box = tuple(
        slice(max(0, int(axis.min()) - margin), int(axis.max()) + margin + 1)
        for axis in np.nonzero(core)
    )
    field = smooth_field(rng, core.shape, knots=16 / anatomy.spacing_mm)[box]
    resistance = (
        anatomy.white[box] + GREY_COST * anatomy.grey[box] + FLUID_COST * anatomy.fluid[box]
    ) * np.exp(0.6 * field)
    resistance[~anatomy.brain[box]] = OUTSIDE_COST
    costs, _ = MCP_Geometric(resistance).find_costs(np.argwhere(core[box]))
    cost = np.full(core.shape, np.inf, np.float32)
    cost[box] = costs
    return cost


def _rim(rng: np.random.Generator, core: Mask, rim_mm: float, spacing_mm: float) -> Mask:
    depth = ndimage.distance_transform_edt(core, sampling=spacing_mm)
    thickness = rim_mm * np.exp(0.35 * smooth_field(rng, core.shape, knots=10 / spacing_mm))
    gaps = smooth_field(rng, core.shape, knots=12 / spacing_mm) > 1.7
    rim: Mask = core & (depth <= thickness) & ~gaps
    return rim


def _fractions(truth: Labels, cost: Volume, edge: float, anatomy: Anatomy) -> dict[str, Volume]:
    soft = 0.7 / anatomy.spacing_mm
    # Edema fades out over its last fifth and slightly beyond the border in the ground truth.
    fading = np.clip((1.1 * edge - cost) / (0.3 * edge), 0, 1) * (1 - anatomy.fluid)
    fractions = {EDEMA: ndimage.gaussian_filter(fading.astype(np.float32), soft)}
    for tissue in (NECROSIS, ENHANCING):
        part = (truth == NUMBERS[tissue]).astype(np.float32)
        fractions[tissue] = ndimage.gaussian_filter(part, soft)
    return fractions


def grow_white_matter_lesions(rng: np.random.Generator, anatomy: Anatomy) -> Lesion:
    """Grow 8 to 25 small white-matter lesions, most of them periventricular."""
    spacing = anatomy.spacing_mm
    near = ndimage.gaussian_filter(anatomy.ventricles, 6 / spacing)
    white = anatomy.white > 0.6
    odds = (near[white] + 0.02 * near.max()) ** 1.5
    places = np.argwhere(white)
    count = int(rng.integers(8, 26))
    chosen = places[rng.choice(len(places), count, p=odds / odds.sum())]
    field = smooth_field(rng, white.shape, knots=5 / spacing)
    inside = np.full(white.shape, -np.inf, np.float32)
    for centre in chosen:
        radius_mm = float(np.clip(np.exp(rng.normal(np.log(3.2), 0.4)), 1.8, 8.0))
        _add_blob(inside, centre, radius_mm / spacing, rng.uniform(0.7, 1.4, 3))
    inside = inside + 0.25 * field
    lesion = (inside > 0) & (anatomy.white > 0.35)
    soft = ndimage.gaussian_filter(lesion.astype(np.float32), 0.7 / spacing)
    truth = np.where(lesion, NUMBERS[EDEMA], 0).astype(np.uint8)
    return Lesion(truth=truth, fractions={HYPERINTENSITY: soft * (1 - anatomy.fluid)})


def _add_blob(
    inside: Volume, centre: NDArray[np.intp], radius: float, stretch: NDArray[np.float64]
) -> None:
    """Raise ``inside`` to 1 - distance / radius around a centre where that is higher."""
    reach = int(np.ceil(2 * radius))
    box = tuple(
        slice(max(0, middle - reach), min(length, middle + reach + 1))
        for middle, length in zip(centre, inside.shape, strict=True)
    )
    axes = [
        (np.arange(part.start, part.stop) - middle) / factor
        for part, middle, factor in zip(box, centre, stretch, strict=True)
    ]
    distance = np.sqrt(sum(axis**2 for axis in np.ix_(*axes)))
    inside[box] = np.maximum(inside[box], 1 - distance / radius)
