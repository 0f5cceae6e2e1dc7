"""The voxels of a mixture, each with its neighbours: eqs. (1) and (2) on whole volumes.

The equations stand in :mod:`anomri.postprocessing.mixture`. The volume is worked on a few rows at a
time, each cut to the box of the brain in it, and the rows are shared out over the threads. Sums are
added up in the order of the rows, so that the result does not depend on how many threads there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from anomri.postprocessing.gaussians import Array, Gaussians, vanished
from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.threads import side_by_side
from anomri.scan import Mask, Volume

# exp() of more than this means certainty: as much as single precision holds. With the smallest
# weight it keeps every product away from the denormal numbers, which processors are many times
# slower with.
LARGEST_EXPONENT = 85.0
SMALLEST_WEIGHT = 1e-100
# Rows of the volume worked on at a time: few enough to stay in a core's cache, and for the product
# of as many numbers up to exp(LARGEST_EXPONENT) to stay within double precision.
ROWS = 8
# What each of n neighbours counts for.
SHARES = np.array([0.0, *(1 / np.arange(1, 9))])

Box = tuple[slice, ...]
Number = TypeVar("Number", np.uint8, np.float64)


class Field:
    """Standardised values on the brain's box.

    Args:
        values: (I, J, K) map.
        brain: (I, J, K), touches the sides of its array.
        shift: becomes 0.
        scale: becomes 1.
    """

    def __init__(self, values: Volume, brain: Mask, shift: np.float64, scale: np.float64) -> None:
        self._shape = (brain.shape[0] + 2, brain.shape[1] + 2, brain.shape[2])
        framed = np.pad(brain.view(np.uint8), ((1, 1), (1, 1), (0, 0)))

        def prepared(box: Box) -> _Rows:
            return _Rows.of((values[box] - shift) / scale, framed, box)

        self._rows = side_by_side(prepared, _boxes_of_rows(brain))
        self._total = np.sum([rows.moments() for rows in self._rows], axis=0)

    def fit(
        self, gaussians: Gaussians, max_iterations: int, tolerance: float
    ) -> tuple[Gaussians, Array, int]:
        """Iterate from the posteriors of ``gaussians`` until the likelihood stands still."""
        posterior, following = np.zeros(self._shape), np.zeros(self._shape)
        side_by_side(lambda rows: rows.start(gaussians, posterior), self._rows)
        before, change, iterations = -np.inf, np.inf, 0
        while iterations < max_iterations and change >= tolerance:
            one, likelihood = self._step(gaussians, posterior, following)
            posterior, following = following, posterior
            change, before = abs(likelihood - before), likelihood
            iterations += 1
            if vanished(one, self._total):
                break
            gaussians = Gaussians.of_moments(one, self._total)
        return gaussians, posterior[1:-1, 1:-1], iterations

    def _step(
        self, gaussians: Gaussians, posterior: Array, following: Array
    ) -> tuple[Array, float]:
        """Write the next posteriors; return their moments and the mean log-likelihood."""
        parts = side_by_side(lambda rows: rows.step(gaussians, posterior, following), self._rows)
        *one, mixed = np.sum(parts, axis=0)
        likelihood = (gaussians.log_likelihood(self._total) + mixed) / self._total[0]
        return np.array(one), float(likelihood)


@dataclass(frozen=True, slots=True)
class _Rows:
    """A few rows of the field, cut to the box of the brain in them.

    Attributes:
        around: where they lie in the framed field, with the voxels beside them in the slice.
        values: standardised, 0 outside the brain.
        inside: whether a voxel is brain.
        share: what each of a voxel's neighbours counts for, 0 outside the brain.
        floor: the least weight, 1/2 where there is no neighbour.
    """

    around: Box
    values: Array
    inside: Mask
    share: Array
    floor: Array | float

    @classmethod
    def of(cls, values: Array, framed: NDArray[np.uint8], box: Box) -> _Rows:
        """Take standardised values on a box, and the whole brain in its frame of zeros."""
        rows, columns, slices = box
        around = (_wider(rows), _wider(columns), slices)
        inside = framed[around][1:-1, 1:-1] > 0
        neighbours = _sum_around(framed[around])
        alone = inside & (neighbours == 0)
        floor = 0.5 * alone + SMALLEST_WEIGHT if alone.any() else SMALLEST_WEIGHT
        values *= inside
        share = SHARES[neighbours]
        share *= inside
        return cls(around, values, inside, share, floor)

    def moments(self) -> Array:
        """Return the number of voxels, and the sums of their values and squares."""
        count = np.count_nonzero(self.inside)
        return np.array([count, self.values.sum(), _product(self.values, self.values)])

    def start(self, gaussians: Gaussians, posterior: Array) -> None:
        """Write the posteriors without neighbours."""
        odds, _ = exponentials(gaussians.log_odds(self.values))
        odds += 1
        np.divide(self.inside, odds, out=posterior[self.around][1:-1, 1:-1])

    def step(self, gaussians: Gaussians, posterior: Array, following: Array) -> Array:
        """Do eqs. (1) and (2) once.

        Returns:
            Sums of ``p``, ``p * x``, ``p * x**2`` and of the logarithm of ``W + (1 - W) r``.
        """
        weight = _sum_around(posterior[self.around])
        weight *= self.share
        weight += self.floor
        mixed, beyond = exponentials(gaussians.log_odds(self.values))
        mixed *= 1 - weight
        mixed += weight
        found = np.divide(weight, mixed, out=weight)
        following[self.around][1:-1, 1:-1] = found
        weighted = found * self.values
        sums = found.sum(), weighted.sum(), _product(weighted, self.values)
        return np.array([*sums, self._log(gaussians, mixed) + beyond])

    def _log(self, gaussians: Gaussians, mixed: Array) -> float:
        """Sum the logarithms in the brain; what lies outside has the value 0 and no weight."""
        outside = self.inside.size - np.count_nonzero(self.inside)
        odds, beyond = exponentials(gaussians.log_odds(np.zeros(1)))
        products = np.multiply.reduce(mixed, axis=0)
        return float(np.log(products).sum() - outside * (np.log(odds[0]) + beyond))


def exponentials(exponent: Array) -> tuple[Array, float]:
    """Return exp of ``exponent``, which is overwritten, with bounds, and what they cut off above.

    Single precision takes a quarter of the time; what it rounds off of the exponent is put back
    as ``exp(e) = exp(c) * (1 + (e - c))``, right to 2e-7 of its value.
    """
    beyond = 0.0
    if exponent.max() > LARGEST_EXPONENT:
        bounded = np.minimum(exponent, LARGEST_EXPONENT)
        beyond = float((exponent - bounded).sum())
        exponent = bounded
    np.maximum(exponent, -LARGEST_EXPONENT, out=exponent)
    coarse = exponent.astype(np.float32)
    exponent -= coarse
    exponent += 1
    exponent *= np.exp(coarse, out=coarse)
    return exponent, beyond


def _sum_around(framed: NDArray[Number]) -> NDArray[Number]:
    """Sum the eight neighbours in the slice; never by subtraction, which would lose small ones."""
    beside = framed[:-2] + framed[2:]
    column = beside + framed[1:-1]
    total: NDArray[Number] = beside[:, 1:-1] + column[:, :-2]
    total += column[:, 2:]
    return total


def _product(one: Array, other: Array) -> float:
    """Sum ``one * other``; not by BLAS, whose threads cost more here than they save."""
    return float(np.einsum("ijk,ijk->", one, other))


def _boxes_of_rows(brain: Mask) -> list[Box]:
    """Return the boxes of the brain in every few rows; rows without any are left out."""
    boxes: list[Box] = []
    for start in range(0, len(brain), ROWS):
        rows = slice(start, min(start + ROWS, len(brain)))
        _, columns, slices = crop_around(brain[rows])
        if slices.stop:
            boxes.append((rows, columns, slices))
    return boxes


def _wider(side: slice) -> slice:
    """Return a side of a box of voxels as one in the framed field, a voxel wider at each end."""
    return slice(side.start, side.stop + 2)
