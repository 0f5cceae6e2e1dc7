"""Combination of a mask with the probabilities of a network, as sums of log odds.

The log odds that a mask implies are proportional to the signed distance from its border (LogOdds
of Pohl et al. 2007, Medical Image Analysis 11:465-477): the network decides near the border, and
the mask far from it. Neither knows the border to a voxel: the mask follows smoothed intensities,
and the network works on large voxels. Their sum can be moved to the edges of the image itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy import ndimage

from anomri.postprocessing.brightness import brightness
from anomri.postprocessing.guided_filter import guided_filter, margin
from anomri.postprocessing.morphology import crop_around
from anomri.scan import Mask, Scan, Volume

LEAST_PROBABILITY = 1e-3  # limits what a network can say
LARGEST_LOG_ODDS = 4.0  # of the sum: the border counts, not how sure the inside is
EDGE_NOISE = 0.2  # standard deviations of the brain; lower edges are smoothed
EDGE_SMOOTHING_MM = 0.8  # of the image, against noise


@dataclass(frozen=True, slots=True)
class Edges:
    """The image whose edges a border follows.

    Attributes:
        image: (I, J, K) in standard deviations of the brain.
        brain: (I, J, K) bool.
        sigma_mm: of the windows in which image and log odds are compared.
    """

    image: Volume
    brain: Mask
    sigma_mm: float

    @classmethod
    def of_first_contrast(cls, scan: Scan, sigma_mm: float) -> Edges:
        """Return the edges of a scan's first contrast."""
        return cls(brightness(scan.image[0], scan.brain), scan.brain, sigma_mm)

    def followed_by(
        self, odds: Volume, box: tuple[slice, ...], spacing: tuple[float, float, float]
    ) -> Volume:
        """Return log odds of a box, smoothed along the edges."""
        sigma = [EDGE_SMOOTHING_MM / side for side in spacing]
        guide = ndimage.gaussian_filter(self.image[box], sigma, truncate=3)
        limited = np.clip(odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
        return guided_filter(
            limited,
            guide,
            self.brain[box],
            sigma_mm=self.sigma_mm,
            noise=EDGE_NOISE,
            spacing=spacing,
        )


def combined_with_probability(
    mask: Mask,
    probability: Volume,
    level: float,
    per_mm: float,
    spacing: tuple[float, float, float],
    edges: Edges | None = None,
) -> Mask:
    """Return the voxels in which the sum of both log odds is positive.

    Without edges a voxel that is farther than log(999) / ``per_mm`` from the border stays as it is.

    Args:
        mask: (I, J, K) bool.
        probability: (I, J, K) of the network.
        level: probability at which the network is undecided.
        per_mm: log odds of the mask for each mm inside its border.
        spacing: mm along I, J, K.
        edges: image whose edges the sum follows.
    """
    around = (1, 1, 1) if edges is None else margin(edges.sigma_mm, spacing)
    reach = np.log((1 - LEAST_PROBABILITY) / LEAST_PROBABILITY) / per_mm
    sides = (ceil(reach / side) + n for side, n in zip(spacing, around, strict=True))
    box = crop_around(mask, tuple(sides))
    odds = _log_odds(probability[box]) - _log_odds(np.float32(level))
    inner = crop_around(mask[box] | (odds > 0), around)  # beyond it both say no
    total = odds[inner] - np.float32(per_mm) * _signed_distance_mm(mask[box][inner], spacing)
    if edges is not None:
        total = edges.followed_by(total, _nested(box, inner), spacing)
    result = np.zeros_like(mask)
    result[box][inner] = total > 0
    return result


def _nested(outer: tuple[slice, ...], inner: tuple[slice, ...]) -> tuple[slice, ...]:
    """Return a box of a box as one of the whole array.

    >>> _nested((slice(2, 6),), (slice(1, 9),))
    (slice(3, 6, None),)
    """
    return tuple(
        slice(side.start + part.start, min(side.start + part.stop, side.stop))
        for side, part in zip(outer, inner, strict=True)
    )


def _log_odds(probability: Volume | np.float32) -> Volume:
    """Return the log odds of probabilities, which are limited on both sides."""
    limited = np.clip(probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    odds: Volume = np.log(limited / (1 - limited))
    return odds


def _signed_distance_mm(mask: Mask, spacing: tuple[float, float, float]) -> Volume:
    """Return the distance from the border, negative inside, measured between voxel centres."""
    distance = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inner = crop_around(mask, (1, 1, 1))  # the nearest voxel outside is at most one beyond its box
    distance[inner] -= ndimage.distance_transform_edt(mask[inner], sampling=spacing)
    return np.asarray(distance, dtype=np.float32)
