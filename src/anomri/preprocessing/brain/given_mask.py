"""A brain mask that came with a scan, compared with the brain that is found without it.

Masks turned, shifted or taken from another subject occur in public data sets, and masks that
include the eyes. Each is compared with the foreground of a stripped scan or with deepbet's brain.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.errors import QualityRefused
from anomri.preprocessing.brain.find import find_brain
from anomri.preprocessing.grids import brain_box
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

MIN_DICE = 0.85
EXTRA_MM = 7.0  # radius of the largest ball in what a mask adds to the brain; an eye has 12 mm
EXTRA_DISC_MM = 10.0  # likewise within a thick slice, where a ball would not fit
DISC_SLICE_MM = 5.0  # a slice this thick is looked at alone
MISSING_MM = 10.0  # likewise in what it leaves out
SECTION_SHARE = 0.1  # of the brain's largest section: slices with less are not compared alone
SLICE_SHARE = 1.01  # of the thickest slice: less cannot be told from a border one slice away


def check_given(
    mask: Mask, volume: Volume, grid: Grid, *, keep: bool, spacing_known: bool, name: str
) -> tuple[Mask, tuple[Note, ...]]:
    """Return the given mask, or the found brain where it does not fit, and what to know of it.

    Args:
        mask: (I, J, K), not empty.
        volume: (I, J, K), RAS+.
        grid: where both lie.
        keep: keep the given mask in any case, and only say what is wrong with it.
        spacing_known: whether the grid's millimetres mean anything.
        name: of the scan, for errors.
    """
    try:
        found, notes = find_brain(volume, grid, spacing_known=spacing_known, name=name)
    except QualityRefused:
        text = "the given brain mask could not be checked: no brain was found"
        return mask, (Note(NoteKind.BRAIN_MASK, text),)
    fault = fault_of_mask(mask, found, grid)
    if not fault:
        return mask, ()
    if keep:
        text = f"the given brain mask {fault}; it was kept as asked"
        return mask, (Note(NoteKind.BRAIN_MASK, text),)
    text = (
        f"the given brain mask {fault}; the brain that was found is used (--brain given keeps it)"
    )
    return found, (Note(NoteKind.BRAIN_MASK, text), *notes)


def fault_of_mask(given: Mask, found: Mask, grid: Grid) -> str:
    """Say what is wrong with a given mask, or nothing.

    Args:
        given: (I, J, K).
        found: (I, J, K), the brain.
        grid: where they lie.
    """
    both, sizes = np.count_nonzero(given & found), np.count_nonzero(given) + found.sum()
    if (overlap := 2 * both / sizes) < MIN_DICE:
        return f"does not fit the scan (Dice {overlap:.2f} with the brain found in it)"
    thickest = SLICE_SHARE * max(grid.spacing)
    extra = given & ~found
    disc_mm = largest_disc_mm(extra, found, grid) if grid.spacing[2] >= DISC_SLICE_MM else 0.0
    if largest_ball_mm(extra, grid) >= max(EXTRA_MM, thickest) or disc_mm >= EXTRA_DISC_MM:
        ml = np.count_nonzero(extra) * grid.voxel_ml
        return f"includes {ml:.0f} ml outside the brain, such as the eyes"
    if largest_ball_mm(found & ~given, grid) >= max(MISSING_MM, thickest):
        ml = np.count_nonzero(found & ~given) * grid.voxel_ml
        return f"leaves out {ml:.0f} ml of the brain"
    return ""


def largest_ball_mm(mask: Mask, grid: Grid) -> float:
    """Return the radius of the largest ball that fits into a mask, in mm; 0 for an empty one."""
    if not mask.any():
        return 0.0
    inside = np.pad(mask[brain_box(mask)], 1)
    return float(ndimage.distance_transform_edt(inside, sampling=grid.spacing).max())


def largest_disc_mm(mask: Mask, brain: Mask, grid: Grid) -> float:
    """Return the radius of the largest disc that fits into a mask within an axial slice, in mm.

    Args:
        mask: (I, J, K).
        brain: (I, J, K); only slices that hold a part of it worth the name are looked at.
        grid: where they lie.
    """
    sections = np.count_nonzero(brain, axis=(0, 1))
    slices = np.flatnonzero((sections > SECTION_SHARE * sections.max()) & mask.any(axis=(0, 1)))
    in_plane = grid.spacing[:2]
    return max(
        (
            float(ndimage.distance_transform_edt(np.pad(mask[:, :, k], 1), sampling=in_plane).max())
            for k in slices
        ),
        default=0.0,
    )
