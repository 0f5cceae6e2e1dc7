"""A healthy brain taken apart: how much fluid, grey and white matter each voxel holds.

From a T1 scan and the labels of its anatomy. Between the medians of ventricles, cortex and white
matter, intensity is taken for a mixture of two neighbours, so that the folds of the cortex keep the
detail that labels of 2 mm have lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.errors import UsageError
from anomri.scan import Labels, Mask, Volume

Kind = TypeVar("Kind", bound=np.generic)

# Label numbers of the MUSE atlas, which DLMUSE gives out.
LATERAL = (51, 52)
VENTRICLES = (4, 11, 49, 50, *LATERAL)
OUTER_FLUID = (0, 1, 46)
LOBAR_WHITE = tuple(range(81, 95))
WHITE = (35, 40, 41, 61, 62, 69, *LOBAR_WHITE, 95)
CEREBRUM = (23, 30, 36, 37, *range(55, 61), *range(81, 96), *range(100, 208))
HINDBRAIN = (35, 38, 39, 40, 41, 71, 72, 73)
FIRST_CORTEX = 100
FARTHEST_MM = 40.0  # of the distance to the ventricles that is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """A healthy brain in the middle of its grid.

    Attributes:
        brain: (I, J, K) float32, 1 inside.
        fluid: (I, J, K) share of cerebrospinal fluid.
        white: (I, J, K) share of white matter; the rest of the brain is grey.
        ventricle_mm: (I, J, K) distance to the lateral ventricles, at most 40.
        labels: (I, J, K) numbers of the atlas.
        spacing: mm, along each axis.
    """

    brain: Volume
    fluid: Volume
    white: Volume
    ventricle_mm: Volume
    labels: Labels
    spacing: float

    @classmethod
    def of(
        cls, scan: Volume, labels: Labels, spacing: float, shape: tuple[int, int, int]
    ) -> Anatomy:
        """Take a T1 scan apart.

        Args:
            scan: (I, J, K), RAS+.
            labels: (I, J, K) MUSE numbers, 0 outside the brain.
            spacing: mm, along each axis.
            shape: of the result, around the middle of the brain.

        Raises:
            UsageError: the labels lack ventricles, cortex or white matter.
        """
        brain = ndimage.binary_fill_holes(ndimage.binary_closing(labels > 0, iterations=2))
        fluid, white = _shares(scan, labels)
        lateral = np.isin(labels, LATERAL)
        far = ndimage.distance_transform_edt(~lateral, sampling=spacing).clip(max=FARTHEST_MM)
        middle = _middle(brain)
        return cls(
            brain=_around(brain.astype(np.float32), middle, shape),
            fluid=_around((fluid * brain).astype(np.float32), middle, shape),
            white=_around((white * brain).astype(np.float32), middle, shape),
            ventricle_mm=_around(far.astype(np.float32), middle, shape),
            labels=_around(labels, middle, shape),
            spacing=spacing,
        )

    def where(self, numbers: tuple[int, ...]) -> Mask:
        """Return the voxels with these labels."""
        return np.isin(self.labels, numbers)


def _shares(scan: Volume, labels: Labels) -> tuple[Volume, Volume]:
    """Return the shares of fluid and white matter.

    With u the intensity on a scale where fluid is 0 and white matter 1, and grey matter g on it:
    fluid is 1 - u/g below g, white (u - g)/(1 - g) above it. Labels decide where intensity cannot:
    white matter holds at most 30 % fluid, ventricles at least 60 %, sulci at least 30 %.
    """
    dark = _level(scan, labels, LATERAL, 30)
    bright = _level(scan, labels, LOBAR_WHITE, 50)
    cortex = _level(scan, labels, tuple(range(FIRST_CORTEX, 208)), 50)
    u, g = (scan - dark) / (bright - dark), (cortex - dark) / (bright - dark)
    ventricles = np.isin(labels, VENTRICLES)
    fluid = 1 - np.clip(u / g, 0, 1)
    fluid = np.where(np.isin(labels, WHITE), np.minimum(fluid, 0.3), fluid)
    fluid = np.where(ventricles, np.maximum(fluid, 0.6), fluid)
    fluid = np.where(np.isin(labels, OUTER_FLUID), np.maximum(fluid, 0.3), fluid)
    white = np.where(ventricles, 0, np.clip((u - g) / (1 - g), 0, 1)) * (1 - fluid)
    return fluid, white


def _level(scan: Volume, labels: Labels, numbers: tuple[int, ...], percent: float) -> float:
    values = scan[np.isin(labels, numbers)]
    if not values.size:
        raise UsageError(f"anatomy: expected voxels with one of the labels {numbers[:4]}; got none")
    return float(np.percentile(values, percent))


def _middle(brain: Mask) -> NDArray[np.intp]:
    held = np.argwhere(brain)
    middle: NDArray[np.intp] = (held.min(axis=0) + held.max(axis=0)) // 2
    return middle


def _around(
    volume: NDArray[Kind], middle: NDArray[np.intp], shape: tuple[int, int, int]
) -> NDArray[Kind]:
    """Return a block of ``shape`` around ``middle``, 0 beyond the volume."""
    room = [(n, n) for n in shape]
    padded = np.pad(volume, room)
    starts = [int(c) + n - n // 2 for c, n in zip(middle, shape, strict=True)]
    return padded[tuple(slice(s, s + n) for s, n in zip(starts, shape, strict=True))]
