"""Headers that do not say how the head lies, and what the user says in their place."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np

from anomri.errors import UnreadableScan, UsageError
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.scan import Affine, Grid, Note, NoteKind

AXES = ("LR", "PA", "IS")  # the two directions of each axis of the world


def check_orientation(letters: str) -> str:
    """Return ``letters`` in capitals, such as ``RAS``; empty stays empty.

    Raises:
        UsageError: they do not name one direction of each axis.
    """
    code = letters.upper()
    named = sorted(next((axis for axis in AXES if one in axis), one) for one in code)
    if code and named != sorted(AXES):
        raise UsageError(
            f"orientation '{letters}': expected three letters, one of L or R, one of P or A and "
            "one of I or S, such as RAS or LPS: where the axes of the file point. "
            "Next: look at the scan in a viewer, and name its axes."
        )
    return code


def oriented(native: RawImage, orientation: str = "") -> RawImage:
    """Return an image whose header says how it lies, or lies as the user says.

    Args:
        native: as read.
        orientation: where its axes point, such as ``RAS``; used where the header says nothing.

    Raises:
        UnreadableScan: neither header nor user says it.
        UsageError: the letters name no orientation.
    """
    code = check_orientation(orientation)
    if native.orientation_known:
        return native
    if not code:
        raise UnreadableScan(
            native.name,
            expected="a header that says how the head lies",
            got="sform and qform codes of 0",
            next_step="say it with --orientation (in Python: orientation=), such as RAS or LPS, "
            "or convert the original DICOM files again, for example with dcm2niix",
        )
    grid = Grid(shape=native.grid.shape, affine=_affine(native.grid, code))
    text = f"{native.name}: the header does not say how the head lies: {code} was given"
    note = Note(NoteKind.GEOMETRY, text)
    return replace(native, grid=grid, orientation_known=True, notes=(*native.notes, note))


def _affine(grid: Grid, code: str) -> Affine:
    """Return the affine whose axes point as ``code`` says, around the volume's middle."""
    turn = nib.orientations.axcodes2ornt(tuple(code))
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(turn):
        affine[int(world), axis] = sign * grid.spacing[axis]
    affine[:3, 3] = -affine[:3, :3] @ (np.array(grid.shape) - 1) / 2
    affine[3, 3] = 1
    return affine
