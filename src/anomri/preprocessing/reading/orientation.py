"""Orientation of images whose headers do not state it, as given by the user."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np

from anomri.errors import UnreadableScan, UsageError
from anomri.preprocessing.reading.raw_image import RawImage, centred_affine
from anomri.scan import Affine, Grid, Note, NoteKind

AXES = ("LR", "PA", "IS")  # the two directions of each anatomical axis


def check_orientation(letters: str) -> str:
    """Return an orientation code in capitals, such as ``RAS``; empty stays empty.

    Raises:
        UsageError: the letters are not one direction of each anatomical axis.
    """
    code = letters.upper()
    named = sorted(next((axis for axis in AXES if letter in axis), letter) for letter in code)
    if code and named != sorted(AXES):
        raise UsageError(
            f"orientation '{letters}': expected three letters, one of L or R, one of P or A and "
            "one of I or S, such as RAS or LPS: the directions of the file's axes. "
            "Next: open the scan in a viewer and name the directions of its axes."
        )
    return code


def apply_orientation(image: RawImage, orientation: str = "") -> RawImage:
    """Give an image the user's orientation if its header states none.

    Args:
        image: as read from its file.
        orientation: direction of its axes, such as ``RAS``.

    Raises:
        UnreadableScan: neither the header nor the user states the orientation.
        UsageError: invalid orientation code.
    """
    code = check_orientation(orientation)
    if image.orientation_known:
        return image
    if not code:
        raise UnreadableScan(
            image.name,
            expected="a header that states the orientation of the head",
            got="sform and qform codes of 0",
            next_step="state it with --orientation (in Python: orientation=), such as RAS or LPS, "
            "or convert the original DICOM files again, for example with dcm2niix",
        )
    grid = Grid(shape=image.grid.shape, affine=_affine(image.grid, code))
    text = f"{image.name}: the header does not state the orientation; {code}, as given, was used"
    note = Note(NoteKind.GEOMETRY, text)
    return replace(image, grid=grid, orientation_known=True, notes=(*image.notes, note))


def _affine(grid: Grid, code: str) -> Affine:
    """Return the affine with axes along ``code`` and the origin in the volume's centre."""
    axes = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(nib.orientations.axcodes2ornt(tuple(code))):
        axes[int(world), axis] = sign * grid.spacing[axis]
    return centred_affine(axes, grid.shape)
