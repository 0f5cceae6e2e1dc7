"""Contrasts of one scan, laid onto the first one where their files lie on other grids.

Within a session the headers nearly agree, so they are where the search starts. What is found is
folded into the affine of the moved contrast; no voxel is touched here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from anomri.errors import QualityRefused
from anomri.preprocessing.grids import orient, to_ras
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.resampling import place, same_grid
from anomri.preprocessing.template.registration import Match, register
from anomri.preprocessing.template.registration_image import RegistrationImage, coarse
from anomri.scan import Mask, Note, NoteKind, Volume

SIDE_MM = 2.0
RIM_MM = 8.0  # around the brain: its outline and the skull help
MAX_TURN_DEG = 45.0
MAX_SHIFT_MM = 60.0
WORTH_TELLING = (1.0, 1.0)  # mm, degrees


def align(
    image: RawImage, first: RawImage, volume: Volume, brain: Mask
) -> tuple[RawImage, list[Note]]:
    """Return a contrast whose affine lays it onto the first one, and what a reader must know.

    A contrast on the first one's grid is returned as it is.

    Args:
        image: the contrast to move.
        first: the one that stays.
        volume: (I, J, K) of the first one, RAS+.
        brain: (I, J, K), likewise.

    Raises:
        GridMismatch: the two do not meet in space.
        QualityRefused: the match is further from the headers than one session can be, or by the
            headers the contrast lies beside the brain.
    """
    if same_grid(image.grid, first.grid):
        return image, []
    place(image, first.grid, linear=False)  # refuses what does not meet
    oriented = orient(first.grid)
    rim = ndimage.distance_transform_edt(~brain, sampling=oriented.spacing) <= RIM_MM
    fixed = coarse(volume, rim, oriented, side_mm=SIDE_MM, around=True)
    try:
        match = register(fixed, _picture(image, fixed), "rigid", np.eye(4))
    except RuntimeError as error:  # no voxel of the one lies in the other
        raise _refused(image.name, f"one that lies beside the brain of {first.name}") from error
    _refuse_far(match, fixed, image.name)
    affine = np.linalg.inv(match.matrix) @ image.grid.affine
    # The header's second transform says where the file was before.
    grid = replace(image.grid, affine=affine, qform_code=0, qform=None)
    return replace(image, grid=grid), _told(match, fixed, image, first)


def _picture(image: RawImage, fixed: RegistrationImage) -> RegistrationImage:
    """Return all of the contrast, with the fixed picture's voxel side."""
    values = to_ras(image.values, image.grid).astype(np.float32)
    everything = np.ones(values.shape, dtype=bool)
    side = fixed.grid.spacing[0]
    return coarse(values, everything, orient(image.grid), side_mm=side, around=True)


def _refuse_far(match: Match, fixed: RegistrationImage, name: str) -> None:
    shift = match.shift_mm(fixed.centre)
    if match.turn_deg <= MAX_TURN_DEG and shift <= MAX_SHIFT_MM:
        return
    raise _refused(name, f"{shift:.0f} mm and {match.turn_deg:.0f} degrees")


def _refused(name: str, got: str) -> QualityRefused:
    return QualityRefused(
        name,
        expected=f"a contrast within {MAX_SHIFT_MM:.0f} mm and {MAX_TURN_DEG:.0f} degrees of "
        "where its header places it",
        got=got,
        next_step="check that all files are of one patient, or register them beforehand",
    )


def _told(match: Match, fixed: RegistrationImage, image: RawImage, first: RawImage) -> list[Note]:
    shift = match.shift_mm(fixed.centre)
    if shift < WORTH_TELLING[0] and match.turn_deg < WORTH_TELLING[1]:
        return []
    text = (
        f"{image.name} was moved by {shift:.1f} mm and {match.turn_deg:.1f} degrees "
        f"to lie on {first.name}"
    )
    return [Note(NoteKind.REALIGNED, text)]
