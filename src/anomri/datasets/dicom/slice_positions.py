"""What the converter does not do: slices that lie askew are placed, inverted ones turned back.

dcm2niix takes the slices of an MR volume to lie straight above each other. Where each is shifted
along its plane (a tilted gantry, a sheared export), its header places the volume wrong, by as much
as the shifts add up to. NIfTI can say how such slices lie, so that nothing is interpolated. Nor
does it invert MONOCHROME1, where the lowest value is white (DICOM PS3.3 C.7.6.3.1.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from anomri.datasets.dicom.geometry import heights_of
from anomri.datasets.dicom.images import Place
from anomri.errors import UnreadableScan
from anomri.scan import Affine, Note, NoteKind

ASKEW_MM = 0.5  # by which the last slice may lie off before the header is written anew
LEAST_MM = 0.02  # shift between two slices below which only their distance was wrong
EVENED = "the distance of slices is that from the first to the last, not of the first two"
TO_RAS = np.diag([-1.0, -1.0, 1.0])
INVERTED = "the lowest value is white (MONOCHROME1): values were inverted"
SLANTED = "slices lie askew, shifted by {:.2g} mm from each to the next: placed as they lie"


def straighten(path: Path, places: Sequence[Place], photometric: set[str]) -> list[Note]:
    """Mend a converted volume in place, and return what was done.

    Args:
        path: NIfTI file that dcm2niix made.
        places: of the slices it was made from.
        photometric: interpretations of their values.

    Raises:
        UnreadableScan: some of the slices are inverted and some are not.
    """
    notes = []
    inverted = "MONOCHROME1" in photometric
    if inverted and len(photometric) > 1:
        raise UnreadableScan(
            path.stem,
            expected="slices that are all dark at the lowest value, or all white",
            got="both in one series (MONOCHROME1 and MONOCHROME2)",
            next_step="export the series again",
        )
    image: Any = nib.load(path)
    affine = slanted(image.affine, image.shape, places)
    if inverted:
        notes.append(Note(NoteKind.INTENSITIES, INVERTED))
    if affine is not None:
        notes.append(Note(NoteKind.GEOMETRY, _told(affine)))
    if notes:
        values = image.get_fdata(dtype=np.float32)
        values = values.max() - values if inverted else values
        mended = nib.Nifti1Image(values, image.affine if affine is None else affine)
        nib.save(mended, path)
    return notes


def _told(affine: Affine) -> str:
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    shift = float(np.linalg.norm(affine[:3, 2] - normal * (normal @ affine[:3, 2])))
    return SLANTED.format(shift) if shift > LEAST_MM else EVENED


def slanted(affine: Affine, shape: tuple[int, ...], places: Sequence[Place]) -> Affine | None:
    """Return an affine that places slices where they lie; None where the given one does.

    Args:
        affine: (4, 4) voxel to world mm (RAS), slices along the third axis.
        shape: of the volume.
        places: of its slices, in any order.
    """
    if len(places) != shape[2] or len(places) < 2:
        return None
    order = np.argsort(heights_of(places))
    points = np.array([places[n].position for n in order]) @ TO_RAS
    step = (points[-1] - points[0]) / (len(points) - 1)
    up = float(np.sign(step @ affine[:3, 2]))  # the volume may begin at the other end
    off = step * up - affine[:3, 2]
    if np.linalg.norm(off) * (len(points) - 1) < ASKEW_MM:
        return None
    right = affine.copy()
    right[:3, 2] = step * up
    first = points[0] if up > 0 else points[-1]
    right[:3, 3] = first + _to_first_row(affine, shape, places[0])
    return right


def _to_first_row(affine: Affine, shape: tuple[int, ...], place: Place) -> Any:
    """Return the way from a slice's first pixel to voxel (0, 0): dcm2niix turns the rows over."""
    way = np.zeros(3)
    for axis, direction in enumerate((place.directions[:3], place.directions[3:])):
        if np.asarray(direction) @ TO_RAS @ affine[:3, axis] < 0:
            way -= affine[:3, axis] * (shape[axis] - 1)
    return way
