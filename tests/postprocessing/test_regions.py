"""Nested probabilities as label numbers, by hand."""

from __future__ import annotations

import numpy as np

from anomri.postprocessing import nested_labels


def test_each_voxel_gets_the_innermost_region() -> None:
    whole, core, enhancing = (
        [0.9, 0.9, 0.9, 0.2, 0.9],
        [0.1, 0.8, 0.8, 0.9, 0.9],
        [0, 0.1, 0.7, 0.9, 0.9],
    )
    probabilities = np.array([whole, core, enhancing], np.float32).reshape(3, 5, 1, 1)
    mask = np.array([True, True, True, False, False]).reshape(5, 1, 1)
    labels = nested_labels(probabilities, 0.5, mask)
    assert labels.dtype == np.uint8
    assert labels.ravel().tolist() == [2, 1, 4, 0, 0]
