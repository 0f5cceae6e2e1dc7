"""Correction of converted volumes: sheared slice positions and inverted intensities.

dcm2niix assumes that the slices of an MR volume are stacked along their normal. If each is shifted
in its plane (a tilted gantry, a sheared export), the affine is wrong by the sum of the shifts.
NIfTI can represent such slices, so that nothing is interpolated. Nor does dcm2niix invert
MONOCHROME1, where the lowest value is white (DICOM PS3.3 C.7.6.3.1.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from anomri.datasets.dicom.images import Place
from anomri.datasets.dicom.slice_geometry import heights_of
from anomri.errors import UnreadableScan
from anomri.scan import Affine, Note, NoteKind

MAX_ERROR_MM = 0.5  # position error of the last slice above which the affine is corrected
MIN_SHIFT_MM = 0.02  # shift between slices below which only their distance was wrong
SPACING_CORRECTED = "slice distance computed from the first and last slice, not the first two"
TO_RAS = np.diag([-1.0, -1.0, 1.0])
INVERTED = "the lowest value is white (MONOCHROME1): values were inverted"
SHEARED = "slices are sheared by {:.2g} mm from each to the next: affine corrected"


def correct_volume(path: Path, places: Sequence[Place], photometric: set[str]) -> list[Note]:
    """Correct a converted volume in place, and return notes on what was changed.

    Args:
        path: NIfTI file written by dcm2niix.
        places: places of its DICOM slices.
        photometric: their photometric interpretations.

    Raises:
        UnreadableScan: some slices are inverted and some are not.
    """
    notes: list[Note] = []
    inverted = "MONOCHROME1" in photometric
    if inverted and len(photometric) > 1:
        raise UnreadableScan(
            path.stem,
            expected="slices with the same photometric interpretation",
            got="MONOCHROME1 and MONOCHROME2 in one series",
            next_step="export the series again",
        )
    image: Any = nib.load(path)
    affine = corrected_affine(image.affine, image.shape, places)
    if inverted:
        notes.append(Note(NoteKind.INTENSITIES, INVERTED))
    if affine is not None:
        notes.append(Note(NoteKind.GEOMETRY, _affine_note(affine)))
    if notes:
        values = image.get_fdata(dtype=np.float32)
        values = values.max() - values if inverted else values
        corrected = nib.Nifti1Image(values, image.affine if affine is None else affine)
        nib.save(corrected, path)
    return notes


def _affine_note(affine: Affine) -> str:
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    shift = float(np.linalg.norm(affine[:3, 2] - normal * (normal @ affine[:3, 2])))
    return SHEARED.format(shift) if shift > MIN_SHIFT_MM else SPACING_CORRECTED


def corrected_affine(
    affine: Affine, shape: tuple[int, ...], places: Sequence[Place]
) -> Affine | None:
    """Return the affine given by the slice positions; None if the present one agrees.

    Args:
        affine: (4, 4) voxel to world mm (RAS), slices along the third axis.
        shape: of the volume.
        places: places of its slices, in any order.
    """
    if len(places) != shape[2] or len(places) < 2:
        return None
    order = np.argsort(heights_of(places))
    points = np.array([places[n].position for n in order]) @ TO_RAS
    step = (points[-1] - points[0]) / (len(points) - 1)
    sign = float(np.sign(step @ affine[:3, 2]))  # the volume may begin at the other end
    error = step * sign - affine[:3, 2]
    if np.linalg.norm(error) * (len(points) - 1) < MAX_ERROR_MM:
        return None
    corrected = affine.copy()
    corrected[:3, 2] = step * sign
    first = points[0] if sign > 0 else points[-1]
    corrected[:3, 3] = first + _offset_of_first_voxel(affine, shape, places[0])
    return corrected


def _offset_of_first_voxel(affine: Affine, shape: tuple[int, ...], place: Place) -> Any:
    """Return the offset from a slice's first pixel to voxel (0, 0): dcm2niix flips the rows."""
    offset = np.zeros(3)
    for axis, direction in enumerate((place.directions[:3], place.directions[3:])):
        if np.asarray(direction) @ TO_RAS @ affine[:3, axis] < 0:
            offset -= affine[:3, axis] * (shape[axis] - 1)
    return offset
