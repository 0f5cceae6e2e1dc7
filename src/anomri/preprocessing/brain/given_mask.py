"""Check of a given brain mask against the brain that is found without it.

Public data sets contain masks that are rotated, shifted, of another subject, or that include the
eyes. A given mask is compared with the foreground of a stripped scan or with deepbet's brain.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from anomri.errors import QualityRefused
from anomri.preprocessing.brain.find import find_brain
from anomri.preprocessing.brain.overlap import dice
from anomri.preprocessing.grids import brain_box
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

MIN_DICE = 0.85
EXTRA_RADIUS_MM = 7.0  # of the largest ball that the mask adds to the brain; an eye has 12 mm
EXTRA_DISC_RADIUS_MM = 10.0  # likewise within a thick slice, which no ball would fit into
THICK_SLICE_MM = 5.0  # slices from this thickness on are also checked in plane
MISSING_RADIUS_MM = 10.0  # of the largest ball that the mask omits
MIN_SECTION_FRACTION = 0.1  # of the brain's largest section: smaller sections are not checked
SLICE_FACTOR = 1.01  # times the slice thickness: less may be a border that is one slice off


def check_given_mask(
    mask: Mask,
    volume: Volume,
    grid: Grid,
    *,
    keep: bool,
    spacing_known: bool,
    name: str,
    device: torch.device | None = None,
) -> tuple[Mask, tuple[Note, ...]]:
    """Return the given mask, or the brain that was found if the mask does not fit, and notes.

    Args:
        mask: (I, J, K) bool, not empty.
        volume: (I, J, K), RAS+.
        grid: grid of both.
        keep: return the given mask even if it does not fit, with a note.
        spacing_known: whether the grid's voxel size is known.
        name: file name, for errors.
        device: where deepbet runs; None for CUDA where PyTorch sees it.

    Raises:
        MissingPiece: deepbet is needed and not installed.
    """
    try:
        found, notes = find_brain(
            volume, grid, spacing_known=spacing_known, name=name, device=device
        )
    except QualityRefused:
        text = "the given brain mask could not be checked: no brain was found"
        return mask, (Note(NoteKind.BRAIN_MASK, text),)
    mismatch = mask_mismatch(mask, found, grid)
    if not mismatch:
        return mask, ()
    if keep:
        text = f"the given brain mask {mismatch}; it was kept as requested"
        return mask, (Note(NoteKind.BRAIN_MASK, text),)
    text = (
        f"the given brain mask {mismatch}; the automatically found brain is used instead "
        "(--brain given keeps the mask)"
    )
    return found, (Note(NoteKind.BRAIN_MASK, text), *notes)


def mask_mismatch(given: Mask, found: Mask, grid: Grid) -> str:
    """Return how a given mask differs from the brain; empty where it fits.

    Args:
        given: (I, J, K) bool.
        found: (I, J, K) bool, the brain.
        grid: grid of both.
    """
    if (overlap := dice(given, found)) < MIN_DICE:
        return f"does not fit the scan (Dice {overlap:.2f} with the brain found in it)"
    min_radius_mm = SLICE_FACTOR * max(grid.spacing)
    extra, missing = given & ~found, found & ~given
    is_thick = grid.spacing[2] >= THICK_SLICE_MM
    disc_mm = largest_disc_radius_mm(extra, found, grid) if is_thick else 0.0
    ball_mm = largest_ball_radius_mm(extra, grid)
    if ball_mm >= max(EXTRA_RADIUS_MM, min_radius_mm) or disc_mm >= EXTRA_DISC_RADIUS_MM:
        extra_ml = np.count_nonzero(extra) * grid.voxel_ml
        return f"includes {extra_ml:.0f} ml outside the brain, such as the eyes"
    if largest_ball_radius_mm(missing, grid) >= max(MISSING_RADIUS_MM, min_radius_mm):
        missing_ml = np.count_nonzero(missing) * grid.voxel_ml
        return f"leaves out {missing_ml:.0f} ml of the brain"
    return ""


def largest_ball_radius_mm(mask: Mask, grid: Grid) -> float:
    """Return the radius of the largest ball inside a mask in mm; 0 for an empty mask."""
    if not mask.any():
        return 0.0
    padded = np.pad(mask[brain_box(mask)], 1)
    return float(ndimage.distance_transform_edt(padded, sampling=grid.spacing).max())


def largest_disc_radius_mm(mask: Mask, brain: Mask, grid: Grid) -> float:
    """Return the radius of the largest disc inside an axial slice of a mask in mm.

    Args:
        mask: (I, J, K) bool.
        brain: (I, J, K) bool; slices with little or no brain are skipped.
        grid: grid of both.

    Returns:
        The radius; 0 where no slice holds both mask and enough brain.
    """
    areas = np.count_nonzero(brain, axis=(0, 1))
    has_brain = areas > MIN_SECTION_FRACTION * areas.max()
    in_plane = grid.spacing[:2]
    return max(
        (
            float(ndimage.distance_transform_edt(np.pad(mask[:, :, k], 1), sampling=in_plane).max())
            for k in np.flatnonzero(has_brain & mask.any(axis=(0, 1)))
        ),
        default=0.0,
    )
