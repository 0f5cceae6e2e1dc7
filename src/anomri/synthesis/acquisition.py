"""Random MR acquisition: bias field, blur, thick slices, noise, artefacts, field of view.

Images are (I, J, K) float32, isotropic, zero outside the field of view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.scan import Mask, Volume
from anomri.synthesis.random_fields import smooth_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """Ranges from which acquisition parameters are drawn.

    Attributes:
        thick: fraction of images with thick slices.
        slice_mm: smallest and largest slice thickness.
        bias: largest standard deviation of the log bias field.
        noise: largest noise standard deviation, relative to the 99th percentile.
        blur_mm: largest standard deviation of the isotropic blur.
        gain: standard deviation of per-slice gains.
        cut: fraction of images whose field of view ends inside the volume.
        cut_mm: largest margin lost on a side.
    """

    thick: float = 0.4
    slice_mm: tuple[float, float] = (3.0, 9.0)
    bias: float = 0.3
    noise: float = 0.06
    blur_mm: float = 1.5
    gain: float = 0.06
    cut: float = 0.3
    cut_mm: float = 50.0


def acquire(
    image: Volume, spacing: float, scanner: Scanner, rng: np.random.Generator
) -> tuple[Volume, Mask]:
    """Return the image as acquired by a random scanner, and its field of view.

    Args:
        image: (I, J, K) true signal.
        spacing: voxel size in mm.
        scanner: ranges of the parameters.
        rng: random number generator.
    """
    acquired = image
    if rng.random() < 0.7:
        field = smooth_field(image.shape, rng, nodes=int(rng.integers(3, 6)))
        acquired = acquired * np.exp(np.float32(rng.uniform(0, scanner.bias)) * field)
    if rng.random() < 0.4:
        bright = np.float32(np.percentile(acquired, 99.5) or 1)
        acquired = bright * (acquired / bright) ** np.float32(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.3:
        sigma = rng.uniform(0, scanner.blur_mm) / spacing
        acquired = ndimage.gaussian_filter(acquired, sigma, truncate=2)
    if rng.random() < 0.1:
        acquired = add_ghost(acquired, rng)
    acquired = add_noise(acquired, scanner.noise, rng)
    if rng.random() < scanner.thick:
        acquired = thicken_slices(acquired, spacing, scanner, rng)
    return crop_field_of_view(acquired, spacing, scanner, rng)


def add_noise(image: Volume, limit: float, rng: np.random.Generator) -> Volume:
    """Add Rician noise, as in magnitude images.

    A third of the images get none, and another third none in the empty background.
    """
    kind = rng.random()
    if kind < 0.33:
        return image
    sigma = np.float32(rng.uniform(0, limit) * np.percentile(image, 99))
    real = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    noisy: Volume = np.hypot(real, imaginary)
    return np.where(image > 0, noisy, 0) if kind < 0.66 else noisy


def thicken_slices(
    image: Volume, spacing: float, scanner: Scanner, rng: np.random.Generator
) -> Volume:
    """Average into slices of random thickness, mostly along K, and resample back.

    Slices may differ in gain; they are interpolated linearly or to the nearest slice.
    """
    axis = int(rng.choice(3, p=[0.2, 0.2, 0.6]))
    thickness = rng.uniform(*scanner.slice_mm)
    step = thickness / spacing
    blurred = image
    if step > 1.2:
        width = step * rng.uniform(0.5, 1)
        blurred = ndimage.gaussian_filter1d(image, width / 2.355, axis=axis, truncate=2)
    count = image.shape[axis]
    positions = np.arange(rng.uniform(0, step), count - 1, step)
    slices = np.moveaxis(_at(blurred, positions, axis), axis, 0)
    if rng.random() < 0.3:
        slices = slices * rng.normal(1, scanner.gain, (len(positions), 1, 1)).astype(np.float32)
    back = (np.arange(count) - positions[0]) / step
    if rng.random() < 0.3:
        back = np.rint(back)
    return np.moveaxis(_at(slices, back, 0), 0, axis)


def add_ghost(image: Volume, rng: np.random.Generator) -> Volume:
    """Add a faint copy of the head, shifted along one axis as by motion or aliasing."""
    axis = int(rng.integers(3))
    shift = int(rng.integers(6, image.shape[axis] // 2 + 1)) * int(rng.choice([-1, 1]))
    ghost: Volume = image + np.float32(rng.uniform(0, 0.2)) * np.roll(image, shift, axis)
    return ghost


def crop_field_of_view(
    image: Volume, spacing: float, scanner: Scanner, rng: np.random.Generator
) -> tuple[Volume, Mask]:
    """Let the field of view end inside the volume, on random sides."""
    visible = np.ones(image.shape, dtype=bool)
    if rng.random() < scanner.cut:
        for axis, chance in enumerate((0.2, 0.2, 0.6)):
            view = np.moveaxis(visible, axis, 0)
            low, high = rng.uniform(0, scanner.cut_mm / spacing, 2).astype(int)
            if rng.random() < chance:
                view[:low] = False
            if rng.random() < chance:
                view[len(view) - high :] = False
    return np.where(visible, image, np.float32(0)), visible


def _at(volume: Volume, positions: NDArray[np.float64], axis: int) -> Volume:
    """Interpolate slices linearly at fractional positions along ``axis``, clamped at the ends."""
    low = np.clip(np.floor(positions), 0, volume.shape[axis] - 1).astype(int)
    high = np.minimum(low + 1, volume.shape[axis] - 1)
    weight = np.clip(positions - low, 0, 1).astype(np.float32)
    weight = weight.reshape([-1 if a == axis else 1 for a in range(3)])
    lower, upper = np.take(volume, low, axis), np.take(volume, high, axis)
    result: Volume = lower + weight * (upper - lower)
    return result
