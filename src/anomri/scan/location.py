"""Where a lesion lies: its side and its zone, and the anatomy that these are read from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Side(StrEnum):
    """Side of the patient's brain."""

    LEFT = "left"
    RIGHT = "right"
    MIDLINE = "midline"
    BOTH = "both"


class Zone(StrEnum):
    """Regions of the brain that the McDonald criteria of 2017 tell apart, and what is between."""

    PERIVENTRICULAR = "periventricular"
    JUXTACORTICAL = "juxtacortical/cortical"
    DEEP = "deep white matter"
    INFRATENTORIAL = "infratentorial"


@dataclass(frozen=True, slots=True)
class Location:
    """Side and zone of a lesion.

    Attributes:
        side: of the midline.
        zone: None where the scan was not registered to the template.
    """

    side: Side
    zone: Zone | None = None


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The template's anatomy on the grid of a scan, as a rough registration places it.

    Attributes:
        ventricle_mm: (I, J, K) distance from the lateral and third ventricles, at most 20.
        depth_mm: (I, J, K) distance from the outside of the brain; 0 outside, and farther than
            20 mm from the ventricles.
        make_cortex_mm: returns (I, J, K) distances from the cerebral cortex, which few scans need.
        infratentorial: (I, J, K) bool, brain stem and cerebellum.
    """

    ventricle_mm: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    make_cortex_mm: Callable[[], NDArray[np.float32]]
    infratentorial: NDArray[np.bool_]
