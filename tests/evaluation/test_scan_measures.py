from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error as reference

from anomri.evaluation import false_positive_ml, mean_absolute_error, volume_ml


def test_volumes_by_hand() -> None:
    mask = np.asarray([1, 1, 1, 0], dtype=bool)
    truth = np.asarray([0, 0, 1, 1], dtype=bool)
    assert volume_ml(mask, 0.008) == pytest.approx(0.024)
    assert false_positive_ml(mask, truth, 0.008) == pytest.approx(0.016)
    assert false_positive_ml(mask, None, 0.008) == pytest.approx(0.024)
    assert false_positive_ml(mask, np.zeros(4, dtype=bool), 0.008) == pytest.approx(0.024)


def test_error_is_that_of_the_brain_over_all_contrasts() -> None:
    rng = np.random.default_rng(0)
    image, other = rng.normal(size=(2, 2, 5, 4, 3)).astype(np.float32)
    brain = rng.random((5, 4, 3)) < 0.5
    expected = reference(image[:, brain].ravel(), other[:, brain].ravel())
    assert mean_absolute_error(image, other, brain) == pytest.approx(expected, rel=1e-6)
    single = reference(image[0][brain], other[0][brain])
    assert mean_absolute_error(image[0], other[0], brain) == pytest.approx(single, rel=1e-6)
    assert math.isnan(mean_absolute_error(image, other, np.zeros_like(brain)))
