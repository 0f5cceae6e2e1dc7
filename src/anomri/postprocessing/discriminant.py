"""Linear discriminant of two samples (Fisher 1936), with equal prior probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Directions in which the samples vary less than this share of the largest do not count: a contrast
# that is missing, or that repeats another one.
SMALLEST_SHARE = 1e-6


@dataclass(frozen=True, slots=True)
class LinearDiscriminant:
    """Log odds of two normal distributions that share one covariance.

    Attributes:
        weights: (F,) of the features.
        offset: log odds where all features are 0.
    """

    weights: Array
    offset: float

    @classmethod
    def between(cls, inside: Array, outside: Array) -> LinearDiscriminant:
        """Fit the discriminant; the shared covariance is the mean of both covariances.

        Args:
            inside: (N, F) features; the log odds are positive on their side.
            outside: (M, F) features.
        """
        first, second = inside.mean(axis=0), outside.mean(axis=0)
        covariance = (_covariance(inside) + _covariance(outside)) / 2
        weights = np.linalg.pinv(covariance, rcond=SMALLEST_SHARE, hermitian=True) @ (
            first - second
        )
        return cls(weights, -float(weights @ (first + second)) / 2)

    def log_odds(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the log odds of ``inside`` at features (F, ...)."""
        weights = self.weights.astype(np.float32)
        return np.tensordot(weights, features, axes=1) + np.float32(self.offset)


def _covariance(sample: Array) -> Array:
    return np.atleast_2d(np.cov(sample, rowvar=False, ddof=0))
