"""Registration of a brain to the MNI152 template, with checks of the result.

The template is skull-stripped. Registered to a whole head it would stretch over the scalp, so only
the brain is registered to it. The result is checked for its scales, for reflections, for the
overlap of the two brains, and for a header that confuses front and back or top and bottom. Left
and right cannot be told apart: the template is symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anomri.errors import QualityRefused
from anomri.preprocessing.resampling import index_map, sample
from anomri.preprocessing.template.mni152 import RIM, SPACING_MM, template_registration_image
from anomri.preprocessing.template.registration import (
    RegistrationResult,
    TransformType,
    best_initial_transform,
    centre_of_mass_transform,
    register,
)
from anomri.preprocessing.template.registration_image import (
    RegistrationImage,
    inside_field_of_view,
    make_registration_image,
)
from anomri.scan import Affine, Grid, Mask, Volume

SCALES = (0.75, 1.3)
MIN_OVERLAP = {"rigid": 0.7, "affine": 0.85}  # a rigid transform leaves the sizes as they are
MIN_COVERAGE = 0.4  # of the template's brain within the field of view
HALF_TURNS = ("", "left-right", "back-front", "foot-head")
MIN_GAIN = 1.05  # mutual information after a half turn, relative to the header's orientation

REPAIR_ORIENTATION = "repair the orientation in the header, or convert the DICOM files again"
_NEXT_STEP = "check the scan and its brain mask, or remove `template` from the recipe"


@dataclass(frozen=True, slots=True)
class TemplateRegistration:
    """A scan's transform to the template, and how well the brains match.

    Attributes:
        to_template: (4, 4) native world mm to template mm.
        overlap: Dice of the two brains, within the scan's field of view.
        coverage: fraction of the template's brain inside the field of view.
    """

    to_template: Affine
    overlap: float
    coverage: float


def register_to_template(
    volume: Volume, brain: Mask, grid: Grid, transform: TransformType, name: str
) -> TemplateRegistration:
    """Register a brain to the template.

    Args:
        volume: (I, J, K) of any contrast.
        brain: (I, J, K) bool.
        grid: grid of both.
        transform: rigid or affine.
        name: file name, for errors.

    Raises:
        QualityRefused: the brain fits better after a half turn, a scale is outside 0.75 to 1.3,
            the two brains do not overlap, or too little of the brain was scanned.
        MissingPiece: the template is not installed.
    """
    fixed = template_registration_image()
    moving = make_registration_image(volume, brain, grid, SPACING_MM)
    _refuse_wrong_orientation(fixed, moving, name)
    result = register(fixed, moving, transform, centre_of_mass_transform(fixed, moving))
    overlap, coverage = brain_overlap(fixed, moving, result.matrix)
    _refuse_misfit(result, overlap, coverage, transform, name)
    to_template = np.linalg.inv(result.matrix)
    return TemplateRegistration(np.asarray(to_template, dtype=np.float64), overlap, coverage)


def brain_overlap(
    fixed: RegistrationImage, moving: RegistrationImage, matrix: Affine
) -> tuple[float, float]:
    """Return the Dice of the two brains within the scan's field of view, and its coverage.

    Args:
        fixed: the template.
        moving: the scan.
        matrix: (4, 4) template mm to native world mm.

    Returns:
        Dice, and the fraction of the template's brain inside the field of view.
    """
    target = Grid(shape=fixed.grid.shape, affine=matrix @ fixed.grid.affine)
    index = index_map(moving.grid, target)
    brain = sample(moving.mask.astype(np.uint8), index, target.shape, linear=False) > 0
    whole = ndimage.binary_erosion(fixed.mask, iterations=RIM)
    covered = whole & inside_field_of_view(moving.scan_grid, target)
    both = np.count_nonzero(brain & covered)
    total = np.count_nonzero(brain) + np.count_nonzero(covered)
    return 2 * both / total, np.count_nonzero(covered) / np.count_nonzero(whole)


def half_turn_axis(
    fixed: RegistrationImage,
    moving: RegistrationImage,
    upright: RegistrationResult | None = None,
) -> str:
    """Return the axis about which a half turn improves the match; empty where none does.

    Args:
        fixed: the template.
        moving: the scan.
        upright: coarse registration without a turn, where it is known.
    """
    turns = [np.eye(3), *(2 * np.diag(axis) - np.eye(3) for axis in np.eye(3))]
    starts = [centre_of_mass_transform(fixed, moving, turn) for turn in turns]
    best, results = best_initial_transform(fixed, moving, starts, upright)
    threshold = MIN_GAIN * results[0].mutual_information
    return "" if results[best].mutual_information < threshold else HALF_TURNS[best]


def orientation_mismatch(axis: str) -> tuple[str, str]:
    """Return the texts for `expected` and `got` of a brain that needs a half turn."""
    got = f"one that fits the template better after half a turn about the {axis} axis"
    return "a brain that is oriented as its header states", got


def _refuse_wrong_orientation(
    fixed: RegistrationImage, moving: RegistrationImage, name: str
) -> None:
    if axis := half_turn_axis(fixed, moving):
        expected, got = orientation_mismatch(axis)
        raise QualityRefused(name, expected=expected, got=got, next_step=REPAIR_ORIENTATION)


def _refuse_misfit(
    result: RegistrationResult, overlap: float, coverage: float, transform: TransformType, name: str
) -> None:
    scales, right_handed = result.scales, np.linalg.det(result.matrix[:3, :3]) > 0
    if not right_handed or scales.min() < SCALES[0] or scales.max() > SCALES[1]:
        sizes = f"sizes of {scales.min():.2f} to {scales.max():.2f}"
        got = sizes if right_handed else "a mirrored one"
        expected = f"a brain of {SCALES[0]:g} to {SCALES[1]:g} times the template's size"
    elif coverage < MIN_COVERAGE:
        expected = f"a scan of at least {MIN_COVERAGE:.0%} of the brain"
        got = f"one of {coverage:.0%}"
    elif overlap < MIN_OVERLAP[transform]:
        expected = f"a brain that overlaps with the template's by {MIN_OVERLAP[transform]:g} (Dice)"
        got = f"{overlap:.2f}"
    else:
        return
    raise QualityRefused(name, expected=expected, got=got, next_step=_NEXT_STEP)
