r"""Two Gaussian components whose voxels listen to their neighbours.

Weninger et al., section 4.3. With the weights :math:`W_{ik}` of the eight neighbours of voxel *i*
in its axial slice, eqs. (1) and (2) are

.. math::
    p(k | x_i) = \frac{\alpha_k W_{ik} p_k(x_i)}{\sum_j \alpha_j W_{ij} p_j(x_i)}, \qquad
    W_{ik} = \frac{1}{|N_i|} \sum_{n \in N_i} p(k | x_n),

with the posteriors of the step before on the right of (2). The M-step is the usual one. The paper
leaves open, and this module decides: the first posteriors are those of a plain two-component fit;
neighbours outside the brain do not count in :math:`N_i`; a voxel without neighbours has
:math:`W_{ik} = 1/2`.

Of two components it is enough to follow one: its posterior is :math:`W_i / (W_i + (1 - W_i) r_i)`
with the odds :math:`r_i = \alpha_0 p_0(x_i) / \alpha_1 p_1(x_i)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomri.postprocessing.morphology import crop_around
from anomri.scan import Mask, Volume

Array = NDArray[np.float64]

# In units of the variance of all values: keeps a component of equal values from collapsing.
VARIANCE_FLOOR = 1e-6
# exp() of more than this means certainty. With the smallest weight it keeps every product away
# from the denormal numbers, which processors are many times slower with.
LARGEST_EXPONENT = 300.0
SMALLEST_WEIGHT = 1e-100
# The plain fit works on this many means of neighbouring values at most.
SKETCH = 1 << 14
# Rows of the volume worked on at a time: few enough to stay in a core's cache.
ROWS = 8


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
                neither component has :func:`_vanished`.
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

    def odds(self, values: Array) -> Array:
        """Return how much more probable the first component is than the second."""
        first, second = 1 / self.variances
        slope = self.means[0] * first - self.means[1] * second
        at_zero = np.subtract(*(self.log_density(np.zeros(()), k) for k in (0, 1)))
        exponent = (0.5 * (second - first) * values + slope) * values + at_zero
        np.clip(exponent, -LARGEST_EXPONENT, LARGEST_EXPONENT, out=exponent)
        odds: Array = np.exp(exponent, out=exponent)
        return odds


@dataclass(frozen=True, slots=True)
class MixtureFit:
    """A fitted mixture.

    Attributes:
        posterior: (I, J, K) probability of the brighter component, 0 outside the brain.
        means: (2,) of the darker and the brighter component, in the units of the map.
        deviations: (2,) their standard deviations.
        weights: (2,) their shares.
        iterations: steps taken.
    """

    posterior: Volume
    means: Array
    deviations: Array
    weights: Array
    iterations: int


def fit_mixture(
    values: Volume, brain: Mask, *, max_iterations: int = 100, tolerance: float = 1e-4
) -> MixtureFit:
    """Fit the neighbourhood-weighted mixture to the values inside the brain.

    Args:
        values: (I, J, K) map; slices are along K.
        brain: (I, J, K).
        max_iterations: the most steps; as many again for the plain fit that comes first.
        tolerance: least change of the mean log-likelihood per voxel worth another step.

    Returns:
        The fit. Where there are no two different values its posterior is 0 everywhere; where one
        component loses its last voxel on the way, the parameters are those of the step before.
    """
    inside = values[brain].astype(np.float64)
    shift, scale = (inside.mean(), inside.std()) if inside.size else (0.0, 0.0)
    posterior = np.zeros(values.shape, dtype=np.float32)
    if scale == 0.0:
        nothing = np.zeros(2)
        return MixtureFit(posterior, nothing + shift, nothing, np.array([1.0, 0.0]), 0)
    box = crop_around(brain)
    field = _Field((values[box] - shift) / scale, brain[box])
    gaussians = fit_plain((inside - shift) / scale, max_iterations, tolerance)
    gaussians, found, iterations = field.fit(gaussians, max_iterations, tolerance)
    posterior[box] = found
    order = np.argsort(gaussians.means, kind="stable")
    if order[0] == 1:
        posterior[box] = np.where(brain[box], 1 - found, 0)
    return MixtureFit(
        posterior,
        gaussians.means[order] * scale + shift,
        np.sqrt(gaussians.variances[order]) * scale,
        gaussians.weights[order],
        iterations,
    )


def fit_plain(values: Array, max_iterations: int = 100, tolerance: float = 1e-4) -> Gaussians:
    """Fit two components without neighbours by expectation maximisation.

    Starts from the split in two with the least variance within its halves, which one dimension
    allows to find exactly. Many values are first averaged in groups of neighbouring ranks that
    keep their first and second moments.

    Args:
        values: (N,) at least two different ones, with variance about 1.
        max_iterations: the most steps.
        tolerance: as for :func:`fit_mixture`.
    """
    moments = _sketch(np.sort(values))
    total = moments.sum(axis=1)
    centres = moments[1] / moments[0]
    gaussians = Gaussians.of_moments(moments[:, _two_means(moments) :].sum(axis=1), total)
    before = -np.inf
    for _ in range(max_iterations):
        odds = gaussians.odds(centres)
        likelihood = moments[0] @ (gaussians.log_density(centres, 1) + np.log1p(odds)) / total[0]
        one = moments @ (1 / (1 + odds))
        if _vanished(one, total) or abs(likelihood - before) < tolerance:
            break
        gaussians, before = Gaussians.of_moments(one, total), likelihood
    return gaussians


class _Field:
    """Standardised values on the brain's box, and what the neighbours of each voxel count for."""

    def __init__(self, values: Array, brain: Mask) -> None:
        self.inside = np.ascontiguousarray(brain, dtype=np.float64)
        self.values = np.ascontiguousarray(values) * self.inside
        self.total = np.array(
            [self.inside.sum(), self.values.sum(), np.vdot(self.values, self.values)]
        )
        neighbours = _around(_framed(self.inside))
        self.share = self.inside / np.maximum(neighbours, 1)
        self.floor = self.inside * (0.5 * (neighbours == 0) + SMALLEST_WEIGHT)
        self.rows = [slice(at, at + ROWS) for at in range(0, len(brain), ROWS)]

    def fit(
        self, gaussians: Gaussians, max_iterations: int, tolerance: float
    ) -> tuple[Gaussians, Array, int]:
        """Iterate from the posteriors of ``gaussians`` until the likelihood stands still."""
        posterior = _framed(self.inside / (1 + gaussians.odds(self.values)))
        before, change, iterations = -np.inf, np.inf, 0
        while iterations < max_iterations and change >= tolerance:
            posterior, one, likelihood = self._step(gaussians, posterior)
            change, before = abs(likelihood - before), likelihood
            iterations += 1
            if _vanished(one, self.total):
                break
            gaussians = Gaussians.of_moments(one, self.total)
        return gaussians, posterior[1:-1, 1:-1], iterations

    def _step(self, gaussians: Gaussians, posterior: Array) -> tuple[Array, Array, float]:
        """Return the next posteriors, their moments and the mean log-likelihood."""
        following = np.zeros_like(posterior)
        parts = [self._rows_step(gaussians, posterior, following, rows) for rows in self.rows]
        *one, mixed = np.sum(parts, axis=0)
        likelihood = (gaussians.log_likelihood(self.total) + mixed) / self.total[0]
        return following, np.array(one), float(likelihood)

    def _rows_step(
        self, gaussians: Gaussians, posterior: Array, following: Array, rows: slice
    ) -> Array:
        """Do eqs. (1) and (2) on a few rows; write into ``following``, return their sums."""
        values, inside = self.values[rows], self.inside[rows]
        weight = _around(posterior[rows.start : rows.stop + 2])
        weight *= self.share[rows]
        weight += self.floor[rows]
        mixed = gaussians.odds(values)
        mixed *= 1 - weight
        mixed += weight
        found = np.divide(weight, mixed, out=weight)
        following[1:-1, 1:-1][rows] = found
        weighted = found * values
        shares = np.log(mixed, out=mixed)
        # Not by BLAS, whose threads cost more here than they save.
        return np.array(
            [found.sum(), weighted.sum(), (weighted * values).sum(), (shares * inside).sum()]
        )


def _vanished(one: Array, total: Array) -> bool:
    """Tell whether a component holds less than a voxel: its mean would be that of rounding."""
    return bool(min(one[0], total[0] - one[0]) < 1)


def _framed(values: NDArray[np.generic]) -> Array:
    """Add a frame of zeros around each slice."""
    return np.pad(values.astype(np.float64), ((1, 1), (1, 1), (0, 0)))


def _around(framed: Array) -> Array:
    """Sum the eight neighbours in the slice; never by subtraction, which would lose small ones."""
    beside = framed[:-2] + framed[2:]
    column = beside + framed[1:-1]
    total: Array = beside[:, 1:-1] + column[:, :-2] + column[:, 2:]
    return total


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
