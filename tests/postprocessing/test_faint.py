"""What is faint among the lesions of a scan is removed, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from anomri.postprocessing import SegmentationState
from anomri.postprocessing.faint import remove_faint


def scan_with(*peaks: float) -> SegmentationState:
    """Cubes of 3 voxels with these values, and a border voxel of 2 at each."""
    values = np.zeros((6 * len(peaks), 5, 5), np.float32)
    for number, peak in enumerate(peaks):
        values[6 * number + 1 : 6 * number + 4, 1:4, 1:4] = peak
        values[6 * number + 4, 2, 2] = 2
    return SegmentationState(values, np.ones(values.shape, bool), (1, 1, 1), 1e-3, values > 0)


def kept(state: SegmentationState, **options: float) -> list[bool]:
    mask = remove_faint(state, **options).lesion
    np.testing.assert_array_equal(mask & ~state.lesion, False)
    return [bool(part.any()) for part in np.split(mask, len(mask) // 6)]


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [
        ((5, 5, 3.4), [True, True, False]),  # 0.7 x 5 = 3.5
        ((5, 5, 3.6), [True, True, True]),
        ((3.4, 3.2, 3.1), [True, True, True]),  # all are faint: none among brighter ones
        ((9, 9, 3.8), [True, True, True]),  # 0.7 x 9 = 6.3 is above the upper bound
        ((9, 9, 3.7), [True, True, False]),
    ],
)
def test_a_component_much_fainter_than_the_lesions_goes(
    peaks: tuple[float, ...], expected: list[bool]
) -> None:
    assert kept(scan_with(*peaks)) == expected


def test_a_component_is_kept_or_removed_with_its_border() -> None:
    state = scan_with(5, 5, 3.4)
    np.testing.assert_array_equal(remove_faint(state).lesion[:12], state.lesion[:12])


def test_without_cores_nothing_is_removed() -> None:
    assert kept(scan_with(2.5, 1.5)) == [True, True]
