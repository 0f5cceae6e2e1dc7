"""Two Gaussian components, and how they are fitted to values that have no neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.float64]

# In units of the variance of all values: keeps a component of equal values from collapsing.
VARIANCE_FLOOR = 1e-6
# More than this means certainty.
LARGEST_EXPONENT = 300.0
# The plain fit works on this many means of neighbouring values at most.
SKETCH = 1 << 14


@dataclass(frozen=True, slots=True)
class Gaussians:
    """Two components of a mixture, the second being the brighter one at the start.

    Attributes:
        weights: (2,) shares of the voxels.
        means: (2,) in the units of the values.
        variances: (2,) in their square.
    """

    weights: Array
    means: Array
    variances: Array

    @classmethod
    def of_moments(cls, one: Array, total: Array) -> Gaussians:
        """Do the M-step.

        Args:
            one: (3,) sums of ``p``, ``p * x`` and ``p * x**2`` with the second one's posteriors;
                neither component has :func:`vanished`.
            total: (3,) the same sums with ``p = 1``.
        """
        moments = np.stack([total - one, one])
        count = moments[:, 0]
        means = moments[:, 1] / count
        variances = np.maximum(moments[:, 2] / count - means**2, VARIANCE_FLOOR)
        return cls(count / total[0], means, variances)

    def log_density(self, values: Array, component: int) -> Array:
        """Return ``log(weight * density)`` of one component at ``values``."""
        variance = self.variances[component]
        scale = np.log(self.weights[component]) - 0.5 * np.log(2 * np.pi * variance)
        density: Array = scale - (values - self.means[component]) ** 2 / (2 * variance)
        return density

    def log_likelihood(self, total: Array) -> float:
        """Return the sum of the second component's ``log(weight * density)`` from moments (3,)."""
        count, first, second = total
        mean, variance = self.means[1], self.variances[1]
        squares = second - 2 * mean * first + mean**2 * count
        at_mean = self.log_density(np.asarray(mean), 1)
        return float(count * at_mean - squares / (2 * variance))

    def log_odds(self, values: Array) -> Array:
        """Return how much more probable the first component is than the second, as a logarithm."""
        first, second = 1 / self.variances
        slope = self.means[0] * first - self.means[1] * second
        at_zero = np.subtract(*(self.log_density(np.zeros(()), k) for k in (0, 1)))
        odds: Array = values * (0.5 * (second - first))
        odds += slope
        odds *= values
        odds += at_zero
        return odds


def fit_plain(ranked: Array, max_iterations: int = 100, tolerance: float = 1e-4) -> Gaussians:
    """Fit two components without neighbours by expectation maximisation.

    Starts from the split in two with the least variance within its halves, which one dimension
    allows to find exactly. Many values are first averaged in groups of neighbouring ranks that
    keep their first and second moments.

    Args:
        ranked: (N,) in ascending order, at least two different ones, with variance about 1.
        max_iterations: the most steps.
        tolerance: least change of the mean log-likelihood per value worth another step.
    """
    moments = _sketch(ranked)
    total = moments.sum(axis=1)
    centres = moments[1] / moments[0]
    gaussians = Gaussians.of_moments(moments[:, _two_means(moments) :].sum(axis=1), total)
    before = -np.inf
    for _ in range(max_iterations):
        found = expit(np.maximum(-gaussians.log_odds(centres), -LARGEST_EXPONENT))
        # Not by BLAS, whose threads cost more on so little than they save.
        logs = gaussians.log_density(centres, 1) - np.log(found)
        likelihood = np.einsum("g,g->", moments[0], logs) / total[0]
        one = np.einsum("mg,g->m", moments, found)
        if vanished(one, total) or abs(likelihood - before) < tolerance:
            break
        gaussians, before = Gaussians.of_moments(one, total), likelihood
    return gaussians


def vanished(one: Array, total: Array) -> bool:
    """Tell whether a component holds less than a voxel: its mean would be that of rounding."""
    return bool(min(one[0], total[0] - one[0]) < 1)


def _sketch(ranked: Array) -> Array:
    """Return counts, sums and sums of squares (3, G) of neighbours in rank."""
    starts = np.unique(np.linspace(0, ranked.size, SKETCH + 1).astype(np.intp)[:-1])
    counts = np.diff(starts, append=ranked.size).astype(np.float64)
    sums = [np.add.reduceat(part, starts) for part in (ranked, ranked**2)]
    return np.stack([counts, *sums])


def _two_means(moments: Array) -> int:
    """Return where the upper half begins in the best split of ranked groups in two."""
    count, total, _ = np.cumsum(moments, axis=1)
    n, low, all_ = count[:-1], total[:-1], total[-1]
    between = low**2 / n + (all_ - low) ** 2 / (count[-1] - n)
    return int(np.argmax(between)) + 1
