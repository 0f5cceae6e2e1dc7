from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anomri.errors import QualityRefused
from anomri.preprocessing.brain.shape_check import check_shape, refuse_ct
from anomri.scan import Grid, Mask, Note

SHAPE = (60, 60, 60)
GRID = Grid(shape=SHAPE, affine=np.diag([4.0, 4, 4, 1]))


def box(sides: tuple[int, int, int], start: int = 5) -> Mask:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(start, start + side) for side in sides)] = True
    return mask


def check(mask: Mask) -> list[Note]:
    return check_shape(mask, GRID, mask.astype(np.float32), name="head.nii.gz")


def test_a_brain_passes() -> None:
    assert check(box((33, 40, 16))) == []  # 132 x 160 x 64 mm, 1352 ml


@pytest.mark.parametrize(
    ("sides", "got"),
    [
        ((20, 25, 20), "640 ml"),
        ((40, 40, 25), "2560 ml"),
        ((24, 24, 24), "96 x 96 x 96 mm"),  # 885 ml in a cube
        ((40, 50, 10), "40 x 160 x 200 mm"),
    ],
)
def test_an_implausible_brain_is_refused_with_evidence(
    sides: tuple[int, int, int], got: str
) -> None:
    mask = box(sides)
    with pytest.raises(QualityRefused, match=got) as caught:
        check(mask)
    assert caught.value.exit_code == 5
    assert caught.value.evidence is not None
    np.testing.assert_array_equal(caught.value.evidence.mask, mask)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(QualityRefused, match="in this head, got none"):
        check(np.zeros(SHAPE, bool))


def test_a_brain_cut_by_the_field_of_view_may_be_smaller_and_is_noted() -> None:
    (note,) = check(box((30, 40, 6), start=0))
    assert "461 ml" in note.text


def test_the_tolerance_widens_the_limits() -> None:
    mask = box((40, 40, 25))  # 2560 ml
    assert check_shape(mask, GRID, mask.astype(np.float32), name="head", tolerance=2.0) == []


@pytest.mark.parametrize(("bone", "refused"), [(1100, True), (90, False)])
def test_air_and_bone_identify_a_ct_and_padding_alone_does_not(bone: float, refused: bool) -> None:
    mask = box((33, 40, 16))
    skull = ndimage.binary_dilation(mask, iterations=2) & ~mask
    volume = np.select([mask, skull], [35.0, bone], -1024.0).astype(np.float32)
    if not refused:
        refuse_ct(mask, GRID, volume, name="head")
        return
    with pytest.raises(QualityRefused, match="got a CT"):
        refuse_ct(mask, GRID, volume, name="head")
