"""Label numbers and brain masks are read as they are, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anomri.errors import BadIntensities
from anomri.preprocessing import read_labels
from anomri.preprocessing.reading.segmentations import read_segmentation

Write = Callable[..., Path]

SHAPE = (60, 64, 56)


def test_labels_keep_their_numbers_and_may_be_all_zero(write: Write) -> None:
    labels = np.zeros(SHAPE, np.int16)
    assert not read_labels(write(labels))[0].any()
    labels[10:20, 10:20, 10:20] = 4
    labels[12, 12, 12] = 255
    read, grid = read_labels(write(labels))
    np.testing.assert_array_equal(read, labels)
    assert read.dtype == np.uint8
    assert grid.shape == SHAPE


@pytest.mark.parametrize(("value", "word"), [(0.5, "not all whole"), (-1, "-1"), (1000, "1000")])
def test_values_that_are_no_label_numbers_are_refused(
    write: Write, value: float, word: str
) -> None:
    labels = np.zeros(SHAPE, np.float32)
    labels[5, 5, 5] = value
    with pytest.raises(BadIntensities, match=word):
        read_labels(write(labels))


def test_an_empty_brain_mask_is_refused(write: Write) -> None:
    raw = read_segmentation(write(np.zeros(SHAPE, np.uint8)))
    with pytest.raises(BadIntensities, match="above zero"):
        raw.mask()
