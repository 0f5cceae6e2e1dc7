"""Whether the mirror image of a mask is as bright as the mask."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.postprocessing import SegmentationState
from anomri.postprocessing.symmetry import mirrored_brightness
from anomri.scan import Mask

SHAPE = (41, 30, 30)
TO_TEMPLATE = np.diag([-1.0, 1.0, 1.0, 1.0])  # the first axis points to the left
TO_TEMPLATE[0, 3] = 20.0


def ball(centre: int, radius: float = 5.0) -> Mask:
    offsets = np.indices(SHAPE) - np.reshape((centre, 15, 15), (3, 1, 1, 1))
    return np.asarray(np.linalg.norm(offsets, axis=0) <= radius)


def state_of(mask: Mask, bright: Mask) -> SegmentationState:
    brain = np.ones(SHAPE, bool)
    return SegmentationState(4.0 * bright.astype(np.float32), brain, (1, 1, 1), 1e-3, mask)


@pytest.mark.parametrize(
    ("mask", "bright", "expected"),
    [
        (ball(8), ball(8), 0.0),
        (ball(8), ball(8) | ball(32), 1.0),  # also where only one side was segmented
        (ball(8) | ball(32), ball(8) | ball(32), 1.0),
        (ball(20, 14), ball(20, 14), 0.0),  # crosses the midline
        (ball(8) & ~ball(8), ball(8), 0.0),
    ],
)
def test_a_bright_mirror_image_is_that_of_the_other_hemisphere(
    mask: Mask, bright: Mask, expected: float
) -> None:
    assert mirrored_brightness(state_of(mask, bright), TO_TEMPLATE) == pytest.approx(expected)
