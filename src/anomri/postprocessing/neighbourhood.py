"""EM steps of the neighbourhood-weighted mixture on whole volumes.

The equations are in :mod:`anomri.postprocessing.mixture`. The volume is processed in blocks of a
few rows, each cropped to the brain, which are distributed over the threads. Sums are accumulated in
the order of the blocks, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from anomri.postprocessing.gaussians import Array, Gaussians, vanished
from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.threads import map_over_threads
from anomri.scan import Mask, Volume

# Exponents are clipped here, the range of single precision. Together with the smallest weight this
# keeps every product away from denormal numbers, with which processors are many times slower.
LARGEST_EXPONENT = 85.0
SMALLEST_WEIGHT = 1e-100
# Rows per block: few enough for a core's cache, and for the product of as many numbers up to
# exp(LARGEST_EXPONENT) to stay within double precision.
ROWS = 8
# Weight of each of n neighbours.
NEIGHBOUR_WEIGHTS = np.array([0.0, *(1 / np.arange(1, 9))])

Box = tuple[slice, ...]
Number = TypeVar("Number", np.uint8, np.float64)


class Field:
    """Standardised values on the bounding box of the brain.

    Args:
        values: (I, J, K) map.
        brain: (I, J, K); its bounding box is the whole array.
        shift: value that becomes 0.
        scale: difference that becomes 1.
    """

    def __init__(self, values: Volume, brain: Mask, shift: np.float64, scale: np.float64) -> None:
        self._shape = (brain.shape[0] + 2, brain.shape[1] + 2, brain.shape[2])
        padded = np.pad(brain.view(np.uint8), ((1, 1), (1, 1), (0, 0)))

        def block(box: Box) -> _Block:
            return _Block.of((values[box] - shift) / scale, padded, box)

        self._blocks = map_over_threads(block, _boxes_of_rows(brain))
        self._total = np.sum([block.moments() for block in self._blocks], axis=0)

    def fit(
        self, gaussians: Gaussians, max_iterations: int, tolerance: float
    ) -> tuple[Gaussians, Array, int]:
        """Run EM steps, from the posteriors of ``gaussians`` until the likelihood converges.

        Returns:
            The components, the posterior of the second one and the number of steps.
        """
        posterior, new_posterior = np.zeros(self._shape), np.zeros(self._shape)
        map_over_threads(lambda block: block.start(gaussians, posterior), self._blocks)
        before, change, iterations = -np.inf, np.inf, 0
        while iterations < max_iterations and change >= tolerance:
            second, likelihood = self._step(gaussians, posterior, new_posterior)
            posterior, new_posterior = new_posterior, posterior
            change, before = abs(likelihood - before), likelihood
            iterations += 1
            if vanished(second, self._total):
                break
            gaussians = Gaussians.of_moments(second, self._total)
        return gaussians, posterior[1:-1, 1:-1], iterations

    def _step(
        self, gaussians: Gaussians, posterior: Array, new_posterior: Array
    ) -> tuple[Array, float]:
        """Write the new posteriors; return their moments and the mean log-likelihood."""
        sums = map_over_threads(
            lambda block: block.step(gaussians, posterior, new_posterior), self._blocks
        )
        *second, logs = np.sum(sums, axis=0)
        likelihood = (gaussians.log_likelihood(self._total) + logs) / self._total[0]
        return np.array(second), float(likelihood)


@dataclass(frozen=True, slots=True)
class _Block:
    """A few rows of the field, cropped to the brain.

    Attributes:
        around: box in the padded field, one voxel wider on each side within the slice.
        values: standardised, 0 outside the brain.
        inside: brain mask.
        neighbour_weight: weight of each of a voxel's neighbours, 0 outside the brain.
        min_weight: lower bound of the neighbourhood weights, 1/2 for a voxel without neighbours.
    """

    around: Box
    values: Array
    inside: Mask
    neighbour_weight: Array
    min_weight: Array | float

    @classmethod
    def of(cls, values: Array, padded: NDArray[np.uint8], box: Box) -> _Block:
        """Build a block from standardised values on ``box`` and the zero-padded brain mask."""
        rows, columns, slices = box
        around = (_widened(rows), _widened(columns), slices)
        inside = padded[around][1:-1, 1:-1] > 0
        neighbours = _sum_of_neighbours(padded[around])
        isolated = inside & (neighbours == 0)
        min_weight = 0.5 * isolated + SMALLEST_WEIGHT if isolated.any() else SMALLEST_WEIGHT
        values *= inside
        neighbour_weight = NEIGHBOUR_WEIGHTS[neighbours]
        neighbour_weight *= inside
        return cls(around, values, inside, neighbour_weight, min_weight)

    def moments(self) -> Array:
        """Return the number of voxels, and the sums of their values and squares."""
        count = np.count_nonzero(self.inside)
        return np.array([count, self.values.sum(), _product(self.values, self.values)])

    def start(self, gaussians: Gaussians, posterior: Array) -> None:
        """Write the initial posteriors, without neighbourhood weights."""
        odds, _ = exponentials(gaussians.log_odds(self.values))
        odds += 1
        np.divide(self.inside, odds, out=posterior[self.around][1:-1, 1:-1])

    def step(self, gaussians: Gaussians, posterior: Array, new_posterior: Array) -> Array:
        """Apply eqs. (1) and (2) once.

        Returns:
            Sums of ``p``, ``p * x``, ``p * x**2`` and of the logarithm of ``W + (1 - W) r``.
        """
        weight = _sum_of_neighbours(posterior[self.around])
        weight *= self.neighbour_weight
        weight += self.min_weight
        denominator, excess = exponentials(gaussians.log_odds(self.values))
        denominator *= 1 - weight
        denominator += weight
        updated = np.divide(weight, denominator, out=weight)
        new_posterior[self.around][1:-1, 1:-1] = updated
        weighted = updated * self.values
        sums = updated.sum(), weighted.sum(), _product(weighted, self.values)
        return np.array([*sums, self._sum_of_logs(gaussians, denominator) + excess])

    def _sum_of_logs(self, gaussians: Gaussians, denominator: Array) -> float:
        """Sum the logarithms over the brain.

        Voxels outside it, where value and weight are 0, are subtracted from the sum over the box.
        """
        outside = self.inside.size - np.count_nonzero(self.inside)
        odds, excess = exponentials(gaussians.log_odds(np.zeros(1)))
        products = np.multiply.reduce(denominator, axis=0)
        return float(np.log(products).sum() - outside * (np.log(odds[0]) + excess))


def exponentials(exponent: Array) -> tuple[Array, float]:
    """Compute exp of the clipped ``exponent``, in place.

    Single precision takes a quarter of the time; its rounding error is corrected by
    ``exp(e) = exp(c) * (1 + (e - c))``, to a relative error of 2e-7.

    Returns:
        The exponentials, and the sum of the exponents above ``LARGEST_EXPONENT`` in excess of it.
    """
    excess = 0.0
    if exponent.max() > LARGEST_EXPONENT:
        clipped = np.minimum(exponent, LARGEST_EXPONENT)
        excess = float((exponent - clipped).sum())
        exponent = clipped
    np.maximum(exponent, -LARGEST_EXPONENT, out=exponent)
    coarse = exponent.astype(np.float32)
    exponent -= coarse
    exponent += 1
    exponent *= np.exp(coarse, out=coarse)
    return exponent, excess


def _sum_of_neighbours(padded: NDArray[Number]) -> NDArray[Number]:
    """Sum the eight neighbours in the slice, without subtractions, which would lose small ones."""
    two = padded[:-2] + padded[2:]
    three = two + padded[1:-1]
    total: NDArray[Number] = two[:, 1:-1] + three[:, :-2]
    total += three[:, 2:]
    return total


def _product(first: Array, second: Array) -> float:
    """Return the inner product; not by BLAS, whose threads cost more here than they save."""
    return float(np.einsum("ijk,ijk->", first, second))


def _boxes_of_rows(brain: Mask) -> list[Box]:
    """Return the bounding boxes of the brain in blocks of rows, without empty blocks."""
    boxes: list[Box] = []
    for start in range(0, len(brain), ROWS):
        rows = slice(start, min(start + ROWS, len(brain)))
        _, columns, slices = crop_around(brain[rows])
        if slices.stop:
            boxes.append((rows, columns, slices))
    return boxes


def _widened(side: slice) -> slice:
    """Return the side of a box in the padded field, one voxel wider at each end."""
    return slice(side.start, side.stop + 2)
