"""Rigid registration of a scan's contrasts to the first one where their grids differ.

Within a session the headers nearly agree, so they are the initial transform. The result goes into
the affine of the moved contrast; no voxel is resampled here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from anomri.errors import QualityRefused
from anomri.preprocessing.grids import grid_to_ras, volume_to_ras
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.resampling import resample_image, same_grid
from anomri.preprocessing.template.registration import RegistrationResult, register
from anomri.preprocessing.template.registration_image import (
    RegistrationImage,
    make_registration_image,
)
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

SPACING_MM = 2.0
RIM_MM = 8.0  # around the brain, for its outline and the skull
MAX_ROTATION_DEG = 45.0
MAX_SHIFT_MM = 60.0
NOTED_SHIFT_MM = 1.0
NOTED_ROTATION_DEG = 1.0


def align_contrast(
    image: RawImage, reference: RawImage, volume: Volume, brain: Mask
) -> tuple[RawImage, list[Note]]:
    """Register a contrast to the reference contrast, if their grids differ.

    Args:
        image: the contrast to move.
        reference: the contrast to register to.
        volume: (I, J, K) values of the reference, RAS+.
        brain: (I, J, K) bool, on the same grid.

    Returns:
        The contrast with the corrected affine, and notes.

    Raises:
        GridMismatch: the two do not overlap in world space.
        QualityRefused: the registration moves the contrast further than patients move within a
            session, or the headers place it outside the reference's brain.
    """
    if same_grid(image.grid, reference.grid):
        return image, []
    resample_image(image, reference.grid, linear=False)  # refuses images that do not overlap
    oriented = grid_to_ras(reference.grid)
    near_brain = ndimage.distance_transform_edt(~brain, sampling=oriented.spacing) <= RIM_MM
    fixed = _registration_image(volume, near_brain, oriented)
    values = volume_to_ras(image.values, image.grid).astype(np.float32)
    moving = _registration_image(values, np.ones_like(values, dtype=bool), grid_to_ras(image.grid))
    try:
        result = register(fixed, moving, "rigid", np.eye(4))
    except RuntimeError as error:  # the images do not overlap
        raise _refused(
            image.name, f"one that lies outside the brain of {reference.name}"
        ) from error
    _refuse_far(result, fixed, image.name)
    affine = np.linalg.inv(result.matrix) @ image.grid.affine
    # The qform still describes the old position.
    grid = replace(image.grid, affine=affine, qform_code=0, qform=None)
    return replace(image, grid=grid), _notes(result, fixed, image, reference)


def _registration_image(volume: Volume, mask: Mask, grid: Grid) -> RegistrationImage:
    return make_registration_image(volume, mask, grid, SPACING_MM, keep_surroundings=True)


def _refuse_far(result: RegistrationResult, fixed: RegistrationImage, name: str) -> None:
    shift = result.displacement_mm(fixed.centre)
    if result.rotation_deg <= MAX_ROTATION_DEG and shift <= MAX_SHIFT_MM:
        return
    raise _refused(name, f"{shift:.0f} mm and {result.rotation_deg:.0f} degrees")


def _refused(name: str, got: str) -> QualityRefused:
    return QualityRefused(
        name,
        expected=f"a contrast within {MAX_SHIFT_MM:.0f} mm and {MAX_ROTATION_DEG:.0f} degrees of "
        "where its header places it",
        got=got,
        next_step="check that all files belong to one patient, or register them beforehand",
    )


def _notes(
    result: RegistrationResult, fixed: RegistrationImage, image: RawImage, reference: RawImage
) -> list[Note]:
    shift = result.displacement_mm(fixed.centre)
    if shift < NOTED_SHIFT_MM and result.rotation_deg < NOTED_ROTATION_DEG:
        return []
    text = (
        f"{image.name} was moved by {shift:.1f} mm and {result.rotation_deg:.1f} degrees "
        f"to align with {reference.name}"
    )
    return [Note(NoteKind.REALIGNED, text)]
