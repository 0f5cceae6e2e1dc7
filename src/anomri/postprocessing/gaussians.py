"""Two-component Gaussian mixture, and its plain fit, which ignores neighbourhoods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.float64]

# In units of the variance of all values; keeps a component of equal values from collapsing.
VARIANCE_FLOOR = 1e-6
# Log-odds are clipped here: beyond it a posterior is 0 or 1.
LARGEST_EXPONENT = 300.0
# Largest number of groups of neighbouring values that the plain fit works on.
MAX_GROUPS = 1 << 14


@dataclass(frozen=True, slots=True)
class Gaussians:
    """Parameters of a two-component mixture; initially the second component is the brighter one.

    Attributes:
        weights: (2,) mixing weights.
        means: (2,) in the units of the values.
        variances: (2,) in these units squared.
    """

    weights: Array
    means: Array
    variances: Array

    @classmethod
    def of_moments(cls, second: Array, total: Array) -> Gaussians:
        """Estimate the parameters from moments (M-step).

        Args:
            second: (3,) sums of ``p``, ``p * x`` and ``p * x**2`` with the posteriors ``p`` of the
                second component; neither component has :func:`vanished`.
            total: (3,) the same sums with ``p = 1``.
        """
        moments = np.stack([total - second, second])
        count = moments[:, 0]
        means = moments[:, 1] / count
        variances = np.maximum(moments[:, 2] / count - means**2, VARIANCE_FLOOR)
        return cls(count / total[0], means, variances)

    def log_density(self, values: Array, component: int) -> Array:
        """Return ``log(weight * density)`` of a component at ``values``."""
        variance = self.variances[component]
        scale = np.log(self.weights[component]) - 0.5 * np.log(2 * np.pi * variance)
        density: Array = scale - (values - self.means[component]) ** 2 / (2 * variance)
        return density

    def log_likelihood(self, total: Array) -> float:
        """Sum the second component's ``log(weight * density)`` over values with moments (3,)."""
        count, first, second = total
        mean, variance = self.means[1], self.variances[1]
        squares = second - 2 * mean * first + mean**2 * count
        at_mean = self.log_density(np.asarray(mean), 1)
        return float(count * at_mean - squares / (2 * variance))

    def log_odds(self, values: Array) -> Array:
        """Return the log-odds of the first against the second component at ``values``."""
        first, second = 1 / self.variances
        slope = self.means[0] * first - self.means[1] * second
        at_zero = np.subtract(*(self.log_density(np.zeros(()), k) for k in (0, 1)))
        odds: Array = values * (0.5 * (second - first))
        odds += slope
        odds *= values
        odds += at_zero
        return odds


def fit_plain(ranked: Array, max_iterations: int = 100, tolerance: float = 1e-4) -> Gaussians:
    """Fit two components by expectation maximisation, without neighbourhood weights.

    The start is the exact two-means split of the sorted values. Large samples are first reduced to
    groups of consecutive ranks that keep their first and second moments.

    Args:
        ranked: (N,) ascending values with variance about 1, at least two of them different.
        max_iterations: limit of the EM steps.
        tolerance: smallest change of the mean log-likelihood per value to continue.
    """
    moments = _grouped_moments(ranked)
    total = moments.sum(axis=1)
    centres = moments[1] / moments[0]
    gaussians = Gaussians.of_moments(moments[:, _two_means(moments) :].sum(axis=1), total)
    before = -np.inf
    for _ in range(max_iterations):
        posterior = expit(np.maximum(-gaussians.log_odds(centres), -LARGEST_EXPONENT))
        # Not BLAS, whose threads cost more on so few numbers than they save.
        logs = gaussians.log_density(centres, 1) - np.log(posterior)
        likelihood = np.einsum("g,g->", moments[0], logs) / total[0]
        second = np.einsum("mg,g->m", moments, posterior)
        if vanished(second, total) or abs(likelihood - before) < tolerance:
            break
        gaussians, before = Gaussians.of_moments(second, total), likelihood
    return gaussians


def vanished(second: Array, total: Array) -> bool:
    """Tell whether a component holds less than one voxel, so that its mean is rounding error."""
    return bool(min(second[0], total[0] - second[0]) < 1)


def _grouped_moments(ranked: Array) -> Array:
    """Return counts, sums and sums of squares (3, G) of groups of consecutive ranks."""
    starts = np.unique(np.linspace(0, ranked.size, MAX_GROUPS + 1).astype(np.intp)[:-1])
    counts = np.diff(starts, append=ranked.size).astype(np.float64)
    sums = [np.add.reduceat(part, starts) for part in (ranked, ranked**2)]
    return np.stack([counts, *sums])


def _two_means(moments: Array) -> int:
    """Return the index of the first upper group in the two-means split of sorted groups."""
    count, total, _ = np.cumsum(moments, axis=1)
    n, low, all_ = count[:-1], total[:-1], total[-1]
    between = low**2 / n + (all_ - low) ** 2 / (count[-1] - n)
    return int(np.argmax(between)) + 1
