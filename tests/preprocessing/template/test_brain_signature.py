"""Signatures of brains are compared in what both show."""

from __future__ import annotations

import numpy as np

from anomri.preprocessing import brain_similarities
from anomri.preprocessing.template.brain_signature import BLOCK


def test_similarities_are_correlations_of_what_both_show() -> None:
    rng = np.random.default_rng(0)
    signatures = (0.5 * rng.normal(size=200) + rng.normal(size=(BLOCK + 6, 200))).astype(np.float32)
    signatures[rng.random(signatures.shape) < 0.2] = 0
    similar = brain_similarities(list(signatures))
    np.testing.assert_array_equal(similar, similar.T)
    for i, j in ((0, 1), (3, BLOCK), (BLOCK + 1, BLOCK + 5)):
        both = (signatures[i] != 0) & (signatures[j] != 0)
        expected = np.corrcoef(signatures[i][both], signatures[j][both])[0, 1]
        assert abs(similar[i, j] - expected) < 1e-6


def test_brains_with_too_little_in_common_are_not_alike() -> None:
    one = np.arange(1, 101, dtype=np.float32)
    part = np.where(one <= 50, one, 0)
    similar = brain_similarities([one, part, np.zeros(0, np.float32)])
    np.testing.assert_allclose(similar, np.diag([1.0, 1.0, 0.0]))
