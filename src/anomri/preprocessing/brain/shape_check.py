"""Gates for a brain mask that anomri found in a whole head by itself."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.errors import Evidence, QualityRefused
from anomri.preprocessing.grids import brain_box
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

FOUND_ML = (700.0, 2200.0)
CUT_ML = 200.0  # the least, where the field of view ends inside the brain
CUT_SHARE = 0.05  # of the brain's largest section, on a face of the volume
LONGEST_MM = (100.0, 230.0)
SHORTEST_MM = (50.0, 190.0)
AIR_HU = -900.0  # nothing below in an MRI
BRAIN_HU = (-50.0, 150.0)
BONE_HU = 300.0
BONE_MM = 10.0  # around the brain: the skull lies there
BONE_SHARE = 0.05  # of these voxels are bone in a CT

_NEXT = "give a brain mask with --brain-mask, or try --brain hdbet"


def check_found(
    mask: Mask, grid: Grid, volume: Volume, *, name: str, slack: float = 1.0
) -> list[Note]:
    """Return what a reader must know of a brain that was found in a whole head.

    Args:
        mask: (I, J, K), one piece.
        grid: where it lies.
        volume: (I, J, K), for the picture of a refusal.
        name: of the scan, for the error.
        slack: factor by which every limit is widened, where the voxel size is a guess.

    Raises:
        QualityRefused: there is no brain, it has under 700 or over 2200 ml (under 200 ml where
            the field of view cuts it), or its box is no brain's: the longest side 100-230 mm, the
            shortest 50-190 mm.
    """
    evidence = Evidence(volume, mask, grid.spacing)
    if not mask.any():
        raise _refused(name, "a brain in this head", "nothing like one", evidence)
    cut = _is_cut(mask)
    ml = float(np.count_nonzero(mask) * grid.voxel_ml)
    least, most = (CUT_ML if cut else FOUND_ML[0]) / slack, FOUND_ML[1] * slack
    if not least <= ml <= most:
        expected = f"a brain of {least:.0f} to {most:.0f} ml"
        raise _refused(name, expected, f"{ml:.0f} ml", evidence)
    sides = _sides_mm(mask, grid)
    shortest = 0.0 if cut else SHORTEST_MM[0] / slack
    long_enough = LONGEST_MM[0] / slack <= sides[-1] <= LONGEST_MM[1] * slack
    if not long_enough or not shortest <= sides[0] <= SHORTEST_MM[1] * slack:
        expected = "a brain of 100-230 mm by 50-190 mm"
        raise _refused(name, expected, " x ".join(f"{mm:.0f}" for mm in sides) + " mm", evidence)
    if not cut:
        return []
    text = f"the field of view cuts the brain: {ml:.0f} ml of it are seen"
    return [Note(NoteKind.FIELD_OF_VIEW, text)]


def has_ct_values(volume: Volume, brain: Mask) -> bool:
    """Say whether air and brain have the values of a CT, in Hounsfield units.

    Args:
        volume: (I, J, K).
        brain: (I, J, K).
    """
    if float(volume.min()) > AIR_HU:
        return False
    return bool(BRAIN_HU[0] <= np.median(volume[brain]) <= BRAIN_HU[1])


def check_no_ct(mask: Mask, grid: Grid, volume: Volume, *, name: str) -> None:
    """Refuse a CT: air, brain and the bone around it have its values.

    The bone decides, since the padding of an MRI can have the value of air.

    Args:
        mask: (I, J, K), the brain that was found.
        grid: where it lies.
        volume: (I, J, K), RAS+.
        name: of the scan, for the error.

    Raises:
        QualityRefused: it is one.
    """
    if not mask.any() or not has_ct_values(volume, mask):
        return
    box = brain_box(mask, int(np.ceil(BONE_MM / min(grid.spacing))))
    away = ndimage.distance_transform_edt(~mask[box], sampling=grid.spacing)
    around = volume[box][(away > 0) & (away <= BONE_MM)]
    if around.size and np.mean(around > BONE_HU) > BONE_SHARE:
        raise QualityRefused(
            name,
            expected="an MRI",
            got="a CT: air, brain and skull have their values in Hounsfield units",
            next_step="give an MRI",
            evidence=Evidence(volume, mask, grid.spacing),
        )


def _refused(name: str, expected: str, got: str, evidence: Evidence) -> QualityRefused:
    return QualityRefused(name, expected=expected, got=got, next_step=_NEXT, evidence=evidence)


def _is_cut(mask: Mask) -> bool:
    """Say whether a face of the volume shows more than 5 % of the brain's largest section."""
    for axis in range(3):
        areas = np.count_nonzero(mask, axis=tuple(a for a in range(3) if a != axis))
        if max(areas[0], areas[-1]) > CUT_SHARE * areas.max():
            return True
    return False


def _sides_mm(mask: Mask, grid: Grid) -> list[float]:
    box = brain_box(mask)
    sides = ((s.stop - s.start) * mm for s, mm in zip(box, grid.spacing, strict=True))
    return sorted(sides)
