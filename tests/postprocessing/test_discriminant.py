"""The linear discriminant against scikit-learn's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from anomri.postprocessing.discriminant import Array, LinearDiscriminant


def samples(size: int = 200, features: int = 3) -> tuple[Array, Array]:
    """Draw two classes of different size, mean and covariance."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(features, features))
    inside = rng.normal(size=(size, features)) @ mixing + np.arange(features)
    return inside, rng.normal(size=(3 * size, features)) * 2 - 1


def test_of_one_feature_by_hand() -> None:
    """Means 4 and 0, both variances 1: the odds are even at 2, and change by 4 for each unit."""
    discriminant = LinearDiscriminant.between(np.array([[3.0], [5.0]]), np.array([[-1.0], [1.0]]))
    odds = discriminant.log_odds(np.array([[2.0, 3.0, 0.0]], np.float32))
    np.testing.assert_allclose(odds, [0, 4, -8], atol=1e-5)


@pytest.mark.parametrize("features", [1, 3])
def test_log_odds_are_those_of_scikit_learn(features: int) -> None:
    inside, outside = samples(features=features)
    reference = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.5, 0.5])
    reference.fit(np.concatenate([outside, inside]), np.repeat([0, 1], [len(outside), len(inside)]))
    points = np.random.default_rng(1).normal(size=(50, features))
    odds = LinearDiscriminant.between(inside, outside).log_odds(points.T.astype(np.float32))
    np.testing.assert_allclose(odds, reference.decision_function(points), rtol=1e-3, atol=1e-3)


def test_contrasts_that_are_missing_or_repeated_change_nothing() -> None:
    inside, outside = samples()
    point = np.array([[0.5], [1.0], [-1.0]], np.float32)
    alone = LinearDiscriminant.between(inside, outside).log_odds(point)

    def more(values: Array) -> Array:
        return np.column_stack([values, values[:, 0], np.zeros(len(values))])

    both = LinearDiscriminant.between(more(inside), more(outside))
    repeated = both.log_odds(np.concatenate([point, point[:1], [[0]]]).astype(np.float32))
    np.testing.assert_allclose(repeated, alone, rtol=1e-3)
