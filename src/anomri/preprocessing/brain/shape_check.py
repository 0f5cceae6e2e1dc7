"""Quality checks of a brain that was found in a whole head: volume, side lengths, and no CT."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.errors import Evidence, QualityRefused
from anomri.preprocessing.grids import brain_box
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

WHOLE_BRAIN_ML = (700.0, 2200.0)
MIN_CUT_BRAIN_ML = 200.0  # where the field of view cuts the brain
MIN_CUT_FRACTION = 0.05  # of the brain's largest section, on a face of the volume
LONGEST_MM = (100.0, 230.0)
SHORTEST_MM = (50.0, 190.0)
AIR_HU = -900.0  # MRI has no values below it
BRAIN_HU = (-50.0, 150.0)
BONE_HU = 300.0
BONE_DISTANCE_MM = 10.0  # from the brain, where the skull lies
MIN_BONE_FRACTION = 0.05  # of the voxels within that distance, in a CT

_NEXT_STEP = "provide a brain mask with --brain-mask, or try --brain hdbet"


def check_shape(
    mask: Mask, grid: Grid, volume: Volume, *, name: str, tolerance: float = 1.0
) -> list[Note]:
    """Return a note if the field of view cuts a brain that was found in a whole head.

    Args:
        mask: (I, J, K) bool, one component.
        grid: grid of mask and volume.
        volume: (I, J, K), for the picture of the refusal.
        name: file name, for errors.
        tolerance: factor that widens all limits, for an estimated voxel size.

    Raises:
        QualityRefused: the mask is empty, has under 700 ml (200 ml where the field of view cuts
            the brain) or over 2200 ml, or its longest side is outside 100-230 mm or its shortest
            outside 50-190 mm.
    """
    evidence = Evidence(volume, mask, grid.spacing)
    if not mask.any():
        raise _refusal(name, "a brain in this head", "none", evidence)
    is_cut = any(any(cut_faces(mask, axis)) for axis in range(3))
    volume_ml = float(np.count_nonzero(mask) * grid.voxel_ml)
    min_ml = (MIN_CUT_BRAIN_ML if is_cut else WHOLE_BRAIN_ML[0]) / tolerance
    max_ml = WHOLE_BRAIN_ML[1] * tolerance
    if not min_ml <= volume_ml <= max_ml:
        expected = f"a brain of {min_ml:.0f} to {max_ml:.0f} ml"
        raise _refusal(name, expected, f"{volume_ml:.0f} ml", evidence)
    sides = _side_lengths_mm(mask, grid)
    min_shortest = 0.0 if is_cut else SHORTEST_MM[0] / tolerance
    longest_fits = LONGEST_MM[0] / tolerance <= sides[-1] <= LONGEST_MM[1] * tolerance
    if not longest_fits or not min_shortest <= sides[0] <= SHORTEST_MM[1] * tolerance:
        expected = "a brain of 100-230 mm by 50-190 mm (longest and shortest side)"
        raise _refusal(name, expected, " x ".join(f"{mm:.0f}" for mm in sides) + " mm", evidence)
    if not is_cut:
        return []
    text = f"the field of view cuts the brain: {volume_ml:.0f} ml of it are visible"
    return [Note(NoteKind.FIELD_OF_VIEW, text)]


def cut_faces(brain: Mask, axis: int) -> tuple[bool, bool]:
    """Return whether the first and the last section along an axis cut through the brain.

    A face of the volume cuts the brain if it shows more than 5 % of the brain's largest section.

    Args:
        brain: (I, J, K) bool.
        axis: 0, 1 or 2.
    """
    areas = np.count_nonzero(brain, axis=tuple(other for other in range(3) if other != axis))
    min_area = MIN_CUT_FRACTION * areas.max()
    return bool(areas[0] > min_area), bool(areas[-1] > min_area)


def has_ct_values(volume: Volume, brain: Mask) -> bool:
    """Return whether air and brain have the values of a CT, in Hounsfield units.

    Args:
        volume: (I, J, K).
        brain: (I, J, K) bool.
    """
    if float(volume.min()) > AIR_HU:
        return False
    return bool(BRAIN_HU[0] <= np.median(volume[brain]) <= BRAIN_HU[1])


def refuse_ct(mask: Mask, grid: Grid, volume: Volume, *, name: str) -> None:
    """Refuse a CT, whose air, brain and skull have known values.

    The skull is decisive, since the padding of an MRI can have the value of air.

    Args:
        mask: (I, J, K) bool, the brain that was found.
        grid: grid of mask and volume.
        volume: (I, J, K), RAS+.
        name: file name, for errors.

    Raises:
        QualityRefused: the scan is a CT.
    """
    if not mask.any() or not has_ct_values(volume, mask):
        return
    box = brain_box(mask, int(np.ceil(BONE_DISTANCE_MM / min(grid.spacing))))
    distance_mm = ndimage.distance_transform_edt(~mask[box], sampling=grid.spacing)
    around = volume[box][(distance_mm > 0) & (distance_mm <= BONE_DISTANCE_MM)]
    if around.size and np.mean(around > BONE_HU) > MIN_BONE_FRACTION:
        raise QualityRefused(
            name,
            expected="an MRI",
            got="a CT: air, brain and skull have their values in Hounsfield units",
            next_step="use an MRI",
            evidence=Evidence(volume, mask, grid.spacing),
        )


def _refusal(name: str, expected: str, got: str, evidence: Evidence) -> QualityRefused:
    return QualityRefused(name, expected=expected, got=got, next_step=_NEXT_STEP, evidence=evidence)


def _side_lengths_mm(mask: Mask, grid: Grid) -> list[float]:
    """Return the side lengths of the bounding box, shortest first."""
    box = brain_box(mask)
    sides = ((s.stop - s.start) * mm for s, mm in zip(box, grid.spacing, strict=True))
    return sorted(sides)
