"""Combination of a mask with the probabilities of a network, as sums of log odds.

The log odds that a mask implies are proportional to the signed distance from its border (LogOdds
of Pohl et al. 2007, Medical Image Analysis 11:465-477): the network decides near the border, and
the mask far from it.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from scipy import ndimage

from anomri.postprocessing.morphology import crop_around
from anomri.scan import Mask, Volume

LEAST_PROBABILITY = 1e-3  # limits what a network can say


def combined_with_probability(
    mask: Mask,
    probability: Volume,
    level: float,
    per_mm: float,
    spacing: tuple[float, float, float],
) -> Mask:
    """Return the voxels in which the sum of both log odds is positive.

    A voxel that is farther than log(999) / ``per_mm`` from the border stays as it is.

    Args:
        mask: (I, J, K) bool.
        probability: (I, J, K) of the network.
        level: probability at which the network is undecided.
        per_mm: log odds of the mask for each mm inside its border.
        spacing: mm along I, J, K.
    """
    reach = np.log((1 - LEAST_PROBABILITY) / LEAST_PROBABILITY) / per_mm
    box = crop_around(mask, tuple(ceil(reach / side) + 1 for side in spacing))
    odds = _log_odds(probability[box]) - _log_odds(np.float32(level))
    inner = crop_around(mask[box] | (odds > 0), (1, 1, 1))  # beyond it both say no
    result = np.zeros_like(mask)
    result[box][inner] = odds[inner] > per_mm * _signed_distance_mm(mask[box][inner], spacing)
    return result


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
