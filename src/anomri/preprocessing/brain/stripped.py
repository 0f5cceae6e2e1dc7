"""Recognising a scan that was skull-stripped before.

A scan is taken for skull-stripped when what stands out of its background is as large and as
solid as a brain:

* the background is one number: its faces do not scatter (air in a whole head is noise);
* the largest region, holes filled, has at most 2000 ml, where the voxel size is known;
* at most 12 % of that region is nearly as dark as the background (skull, sinuses and air make it
  more). Scans with values below the background, as after a z-score, are exempt.

Measured on real scans: stripped FLAIR and T1 of gliomas (24 subjects), white-matter lesions (2)
and MS (1) have no scatter, 1100-1610 ml and at most 8 % dark; whole heads have 2350 ml or more,
or, without a voxel size, scatter or at least 50 % dark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anomri.scan import ML_PER_MM3, Mask, Volume

MAX_STRIPPED_ML = 2000.0
MAX_DARK_SHARE = 0.12
DARK = 0.1  # of the brightest percentile above the background
BELOW_SHARE = 0.05  # this share below the background means that zero is not the darkest value
NOISE_SIGMAS = 5.0
RINGING = 1e-3  # interpolation leaves values of this size around a stripped brain

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Background:
    """What lies around the head.

    Attributes:
        level: its value.
        noise: robust standard deviation over the faces of the volume.
        scale: how far the brightest percentile of everything else lies from the level.
    """

    level: float
    noise: float
    scale: float

    @classmethod
    def of(cls, volume: Volume) -> Background:
        """Measure it on the six faces: median, 1.4826 · MAD."""
        ends = [np.moveaxis(volume, axis, 0)[[0, -1]] for axis in range(3)]
        faces = np.concatenate([end.ravel() for end in ends])
        level = float(np.median(faces))
        noise = 1.4826 * float(np.median(np.abs(faces - level)))
        distance = np.abs(volume[volume != level] - level)
        return cls(level, noise, float(np.percentile(distance, 99)))

    def foreground(self, volume: Volume) -> Mask:
        """Return (I, J, K) bool: farther from the level than noise and ringing reach."""
        reach = max(NOISE_SIGMAS * self.noise, RINGING * self.scale)
        far: Mask = np.abs(volume - np.float32(self.level)) > reach
        return far


def is_stripped(
    volume: Volume, mask: Mask, background: Background, spacing: Spacing | None
) -> bool:
    """Say whether ``mask``, the solid foreground, is a brain alone; see the module's criterion."""
    if not mask.any() or background.noise > RINGING * background.scale:
        return False
    if spacing and np.count_nonzero(mask) * np.prod(spacing) * ML_PER_MM3 > MAX_STRIPPED_ML:
        return False
    relative = (volume[mask] - background.level) / background.scale
    if np.mean(relative < -DARK) > BELOW_SHARE:
        return True
    return bool(np.mean(relative < DARK) <= MAX_DARK_SHARE)
