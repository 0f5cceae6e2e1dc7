"""Choice of the level to which a lesion is grown, by the probabilities of a network.

Brightness draws the border, but no one fraction of a lesion's brightness is right for every scan.
A network whose single voxels are wrong may still tell which of a few nested masks fits best: the
one with the largest sum of log odds, which is its log likelihood up to a constant.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from anomri.postprocessing.log_odds import log_odds
from anomri.postprocessing.segmentation_methods import grow
from anomri.postprocessing.state import SegmentationState
from anomri.scan import Volume

LOWEST_LEVEL = 1.0  # standard deviations; half of a brain is brighter than 0
LATTICE_MM = 3.0  # masks are compared on voxels about this far apart


def best_fraction(
    state: SegmentationState,
    threshold: float,
    probability: Volume,
    level: float,
    fractions: Iterable[float],
) -> float:
    """Return the fraction of :func:`grow` whose mask agrees best with a network.

    Of equal ones the first is returned.

    Args:
        state: the map that is grown, in robust standard deviations.
        threshold: level of the core.
        probability: (I, J, K) of the network.
        level: probability at which a voxel is as well left out.
        fractions: to choose from.
    """
    steps = [max(1, round(LATTICE_MM / side)) for side in state.spacing]
    places = tuple(slice(None, None, step) for step in steps)
    sides = tuple(step * side for step, side in zip(steps, state.spacing, strict=True))
    coarse = SegmentationState(
        state.values[places],
        state.brain[places],
        (sides[0], sides[1], sides[2]),
        state.voxel_ml * float(np.prod(steps)),
    )
    odds = log_odds(probability[places]) - log_odds(np.float32(level))
    grown = {
        fraction: grow(coarse, threshold, fraction=fraction, min_level=LOWEST_LEVEL).lesion
        for fraction in fractions
    }
    return max(grown, key=lambda fraction: float(odds[grown[fraction]].sum()))
