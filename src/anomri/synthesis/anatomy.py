"""Tissue fractions of a healthy brain, from a T1 scan and its anatomical labels.

Between the median intensities of ventricles, cortex and white matter, a voxel is a mixture of the
two nearest tissues. The cortical folds thus keep detail that labels of 2 mm have lost.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.errors import UsageError
from anomri.scan import Labels, Mask, Volume

Kind = TypeVar("Kind", bound=np.generic)

# Label numbers of the MUSE atlas, as written by DLMUSE.
LATERAL = (51, 52)
VENTRICLES = (4, 11, 49, 50, *LATERAL)
OUTER_FLUID = (0, 1, 46)
LOBAR_WHITE = tuple(range(81, 95))
WHITE = (35, 40, 41, 61, 62, 69, *LOBAR_WHITE, 95)
CEREBRUM = (23, 30, 36, 37, *range(55, 61), *range(81, 96), *range(100, 208))
HINDBRAIN = (35, 38, 39, 40, 41, 71, 72, 73)
FIRST_CORTEX = 100
MAX_DISTANCE_MM = 40.0  # to the ventricles


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """A healthy brain.

    Attributes:
        brain: (I, J, K) float32, 1 inside.
        fluid: (I, J, K) fraction of cerebrospinal fluid.
        white: (I, J, K) fraction of white matter; the rest of the brain is grey matter.
        ventricle_mm: (I, J, K) distance to the lateral ventricles, at most 40.
        labels: (I, J, K) MUSE label numbers.
        spacing: voxel size in mm.
        flair: (I, J, K) a measured FLAIR without lesions, white matter near 1, or None.
    """

    brain: Volume
    fluid: Volume
    white: Volume
    ventricle_mm: Volume
    labels: Labels
    spacing: float
    flair: Volume | None = None

    @classmethod
    def of(
        cls, scan: Volume, labels: Labels, spacing: float, shape: tuple[int, int, int]
    ) -> Anatomy:
        """Estimate tissue fractions of a T1 scan.

        Args:
            scan: (I, J, K), RAS+.
            labels: (I, J, K) MUSE numbers, 0 outside the brain.
            spacing: voxel size in mm.
            shape: of the result, centred on the brain.

        Raises:
            UsageError: the labels lack ventricles, cortex or white matter.
        """
        brain = ndimage.binary_fill_holes(ndimage.binary_closing(labels > 0, iterations=2))
        fluid, white = _tissue_fractions(scan, labels)
        lateral = np.isin(labels, LATERAL)
        distance = ndimage.distance_transform_edt(~lateral, sampling=spacing).clip(
            max=MAX_DISTANCE_MM
        )
        whole = cls(
            brain=brain.astype(np.float32),
            fluid=(fluid * brain).astype(np.float32),
            white=(white * brain).astype(np.float32),
            ventricle_mm=distance.astype(np.float32),
            labels=labels,
            spacing=spacing,
        )
        return whole.centred(shape)

    def centred(self, shape: tuple[int, int, int]) -> Anatomy:
        """Return the anatomy in a block of ``shape`` around the brain, 0 beyond its own grid."""
        middle = _middle(self.brain > 0)
        volumes = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "spacing"}
        blocks: dict[str, Any] = {
            name: _around(volume, middle, shape)
            for name, volume in volumes.items()
            if volume is not None
        }
        return replace(self, **blocks)

    def mask_of(self, numbers: tuple[int, ...]) -> Mask:
        """Return the mask of the given labels."""
        return np.isin(self.labels, numbers)


def _tissue_fractions(scan: Volume, labels: Labels) -> tuple[Volume, Volume]:
    """Return the fractions of fluid and white matter.

    With intensity u scaled so that fluid is 0 and white matter 1, and grey matter at g, fluid is
    1 - u/g below g and white matter (u - g)/(1 - g) above. Labels resolve what intensity cannot:
    white matter has at most 30 % fluid, ventricles at least 60 %, sulci at least 30 %.
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
    inside = np.argwhere(brain)
    middle: NDArray[np.intp] = (inside.min(axis=0) + inside.max(axis=0)) // 2
    return middle


def _around(
    volume: NDArray[Kind], middle: NDArray[np.intp], shape: tuple[int, int, int]
) -> NDArray[Kind]:
    """Return a block of ``shape`` around ``middle``, 0 beyond the volume."""
    padded = np.pad(volume, [(n, n) for n in shape])
    starts = [int(c) + n - n // 2 for c, n in zip(middle, shape, strict=True)]
    # A view would keep the padded volume in memory, twenty times as large.
    return padded[tuple(slice(s, s + n) for s, n in zip(starts, shape, strict=True))].copy()
