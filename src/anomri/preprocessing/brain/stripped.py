"""Recognising a scan that was skull-stripped before.

A scan is taken for skull-stripped at a glance when what stands out of its background is as large
and as solid as a brain:

* the background is one number: its faces do not scatter (air in a whole head is noise);
* the largest region, holes filled, has at most 1800 ml, where the voxel size is known;
* at most 12 % of that region is nearly as dark as the background (skull, sinuses and air make it
  more). Scans with values below the background, as after a z-score, are exempt where their voxel
  size is known.

Scans with a faint noise around the brain, or with a wrong voxel size, fail this. So where deepbet
then finds a brain that is the foreground itself (Dice of 0.9 and more), the scan was stripped too.

Measured on real scans: 85 stripped images (24 gliomas, 2 subjects with white-matter lesions, 1
with MS) have no scatter, 1099-1729 ml and at most 11 % dark; in 21 of them foreground and
deepbet's brain overlap by 0.93 or more, with noise of 2 % of the brightest by 0.91. 60 images of
whole heads have 2287 ml or more; in 19 of them the overlap is 0.74 or less, 0.80 with a background
that was set to zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from anomri.preprocessing.connected_components import largest_filled_component
from anomri.scan import ML_PER_MM3, Mask, Volume

MAX_STRIPPED_ML = 1800.0
MAX_DARK_SHARE = 0.12
DARK = 0.1  # of the brightest percentile above the background
BELOW_SHARE = 0.05  # this share below the background means that zero is not the darkest value
NOISE_SIGMAS = 5.0
RINGING = 1e-3  # interpolation leaves values of this size around a stripped brain
EVEN_SHARE = 0.5  # of the voxels below a constant frame hold the background's value, if it has one

Spacing = tuple[float, float, float]
Box = tuple[slice, slice, slice]


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


def foreground_of(volume: Volume) -> tuple[Mask, Background]:
    """Return what stands out of the background, in one piece without holes, and the background.

    Args:
        volume: (I, J, K); a constant frame around it is no foreground.
    """
    unframed = without_padding(volume)
    background = Background.of(unframed)
    return largest_filled_component(background.foreground(unframed)), background


def without_padding(volume: Volume) -> Volume:
    """Return a scan in whose constant padding stands the value of its background.

    Outer layers of one value each are taken off. If the box that is left is bounded mostly by
    another single value, they were padding; a background of noise has no such value.

    Args:
        volume: (I, J, K).
    """
    box = _inside_frame(volume)
    inner = volume[box]
    faces = [
        np.moveaxis(inner, axis, 0)[end].ravel()
        for axis, end in product(range(3), (0, -1))
        if (box[axis].start > 0 if end == 0 else box[axis].stop < volume.shape[axis])
    ]
    if not faces:
        return volume
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    if counts.max() < EVEN_SHARE * counts.sum():
        return volume
    result = np.full_like(volume, values[counts.argmax()])
    result[box] = inner
    return result


def _inside_frame(volume: Volume) -> Box:
    """Return the box that is left without the outer layers that hold one value each."""
    starts, stops = [0, 0, 0], list(volume.shape)

    def box() -> Box:
        i, j, k = (slice(start, stop) for start, stop in zip(starts, stops, strict=True))
        return i, j, k

    peeling = True
    while peeling:
        peeling = False
        for axis, end in product(range(3), (0, -1)):
            layer = np.moveaxis(volume[box()], axis, 0)[end]
            if stops[axis] - starts[axis] > 1 and layer.min() == layer.max():
                peeling = True
                starts[axis] += end == 0
                stops[axis] -= end == -1
    return box()


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
        return spacing is not None
    return bool(np.mean(relative < DARK) <= MAX_DARK_SHARE)
