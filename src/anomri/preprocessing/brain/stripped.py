"""Recognition of scans that are already skull-stripped.

A scan counts as skull-stripped if its foreground is as large and as solid as a brain:

* the background is constant: the faces of the volume have no noise (air in a whole head has);
* the largest component, with holes filled, has at most 1800 ml, if the voxel size is known;
* at most 12 % of that component is nearly as dark as the background (skull, sinuses and air make
  it more). Scans with values below the background, as after a z-score, are exempt if their voxel
  size is known.

Scans with faint noise around the brain, or with a wrong voxel size, fail these criteria. So a scan
also counts as skull-stripped if deepbet finds a brain that is the whole foreground (Dice of at
least 0.9).

Measured on real scans: 85 stripped images (24 gliomas, 2 subjects with white-matter lesions, 1
with MS) have a constant background, 1099-1729 ml and at most 11 % dark voxels; in 21 of them
foreground and deepbet's brain overlap by 0.93 or more (Dice), with added noise of 2 % of the
brightest value by 0.91. 60 images of whole heads have 2287 ml or more; in 19 of them the overlap is
0.74 or less, 0.80 with the background set to zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from anomri.preprocessing.connected_components import largest_filled_component
from anomri.preprocessing.grids import brain_box
from anomri.scan import ML_PER_MM3, Mask, Volume

MAX_STRIPPED_ML = 1800.0
MAX_DARK_FRACTION = 0.12
DARK = 0.1  # of the 99th percentile, relative to the background
MAX_NEGATIVE_FRACTION = 0.05  # with more voxels below it, the background is not the darkest value
NOISE_SIGMAS = 5.0
RINGING = 1e-3  # relative amplitude that interpolation leaves around a stripped brain
MIN_CONSTANT_FRACTION = 0.5  # of the voxels next to a constant frame, in a constant background

Spacing = tuple[float, float, float]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Background:
    """Intensities around the head.

    Attributes:
        level: value of the background.
        noise: robust standard deviation over the faces of the volume.
        scale: 99th percentile of the absolute difference of all other values to the level.
    """

    level: float
    noise: float
    scale: float

    @classmethod
    def measure(cls, volume: Volume) -> Background:
        """Measure the background on the six faces of a volume: median and 1.4826 · MAD."""
        ends = [np.moveaxis(volume, axis, 0)[[0, -1]] for axis in range(3)]
        faces = np.concatenate([end.ravel() for end in ends])
        level = float(np.median(faces))
        noise = 1.4826 * float(np.median(np.abs(faces - level)))
        difference = np.abs(volume[volume != level] - level)
        return cls(level, noise, float(np.percentile(difference, 99)))

    def foreground(self, volume: Volume) -> Mask:
        """Return (I, J, K) bool: values that noise and ringing of the background do not reach."""
        threshold = max(NOISE_SIGMAS * self.noise, RINGING * self.scale)
        foreground = np.zeros(volume.shape, np.bool_)
        other = volume != np.float32(self.level)
        if not other.any():
            return foreground
        box = brain_box(other)  # of a stripped head; else all of the volume
        foreground[box] = np.abs(volume[box] - np.float32(self.level)) > threshold
        return foreground


def find_foreground(volume: Volume) -> tuple[Mask, Background]:
    """Return the largest component of the foreground with its holes filled, and the background.

    Args:
        volume: (I, J, K); constant padding counts as background.
    """
    unpadded = replace_padding(volume)
    background = Background.measure(unpadded)
    return largest_filled_component(background.foreground(unpadded)), background


def replace_padding(volume: Volume) -> Volume:
    """Return a scan whose constant padding is replaced by the value of the background.

    Outer layers of one value each are removed. They were padding if the faces of the remaining box
    mostly have another single value; a noisy background has no such value.

    Args:
        volume: (I, J, K); returned itself where it has no padding, or padding of that value.
    """
    box, padding = _box_without_constant_layers(volume)
    inner = volume[box]
    faces = [
        np.moveaxis(inner, axis, 0)[end].ravel()
        for axis, end in product(range(3), (0, -1))
        if (box[axis].start > 0 if end == 0 else box[axis].stop < volume.shape[axis])
    ]
    if not faces:
        return volume
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    if counts.max() < MIN_CONSTANT_FRACTION * counts.sum():
        return volume
    background = values[counts.argmax()]
    if padding == {float(background)}:
        return volume
    result = np.full_like(volume, background)
    result[box] = inner
    return result


def _box_without_constant_layers(volume: Volume) -> tuple[Box, set[float]]:
    """Return the box that remains without outer layers of one value each, and these values."""
    starts, stops, values = [0, 0, 0], list(volume.shape), set[float]()
    corner = volume[0, 0, 0]
    if (other := volume != corner).any():  # most layers at once, those of the corner's value
        filled = brain_box(other)
        starts, stops = [side.start for side in filled], [side.stop for side in filled]
        if any(starts) or stops != list(volume.shape):
            values.add(float(corner))

    def box() -> Box:
        i, j, k = (slice(start, stop) for start, stop in zip(starts, stops, strict=True))
        return i, j, k

    removed = True
    while removed:
        removed = False
        for axis, end in product(range(3), (0, -1)):
            layer = np.moveaxis(volume[box()], axis, 0)[end]
            if stops[axis] - starts[axis] > 1 and layer.min() == layer.max():
                removed = True
                values.add(float(layer.min()))
                starts[axis] += end == 0
                stops[axis] -= end == -1
    return box(), values


def is_stripped(
    volume: Volume, foreground: Mask, background: Background, spacing: Spacing | None
) -> bool:
    """Return whether the foreground is a brain alone, by the criteria of this module.

    Args:
        volume: (I, J, K).
        foreground: (I, J, K) bool, one component without holes.
        background: background of the volume.
        spacing: mm along I, J, K, or None if the voxel size is unknown.
    """
    if not foreground.any() or background.noise > RINGING * background.scale:
        return False
    if spacing and np.count_nonzero(foreground) * np.prod(spacing) * ML_PER_MM3 > MAX_STRIPPED_ML:
        return False
    relative = (volume[foreground] - background.level) / background.scale
    if np.mean(relative < -DARK) > MAX_NEGATIVE_FRACTION:
        return spacing is not None
    return bool(np.mean(relative < DARK) <= MAX_DARK_FRACTION)
