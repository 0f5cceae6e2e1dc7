"""Scanners drawn at random: bias field, blur, thick slices, noise, artefacts, field of view.

Images are (I, J, K) float32, isotropic, zero where nothing was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.scan import Mask, Volume
from anomri.synthesis.fields import smooth_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """The limits of what is drawn.

    Attributes:
        thick: share of images with thick slices.
        slice_mm: thinnest and thickest slice.
        bias: standard deviation of the logarithm of the bias field, at most.
        noise: standard deviation relative to the brightest percentile, at most.
        blur_mm: standard deviation of an isotropic blur, at most.
        gain: standard deviation of the slices' own gains, where they have some.
        cut: share of images whose field of view ends inside the volume.
        cut_mm: how much of a side is lost at most, from the border of the volume.
    """

    thick: float = 0.4
    slice_mm: tuple[float, float] = (3.0, 9.0)
    bias: float = 0.3
    noise: float = 0.06
    blur_mm: float = 1.5
    gain: float = 0.06
    cut: float = 0.3
    cut_mm: float = 50.0


def measure(
    image: Volume, spacing: float, scanner: Scanner, draw: np.random.Generator
) -> tuple[Volume, Mask]:
    """Return the image as a scanner drawn at random would give it, and its field of view.

    Args:
        image: (I, J, K), what there is to be measured.
        spacing: mm, along each axis.
        scanner: limits.
        draw: source of randomness.
    """
    measured = image
    if draw.random() < 0.7:
        field = smooth_field(image.shape, draw, coarse=int(draw.integers(3, 6)))
        measured = measured * np.exp(np.float32(draw.uniform(0, scanner.bias)) * field)
    if draw.random() < 0.4:
        bright = np.float32(np.percentile(measured, 99.5) or 1)
        measured = bright * (measured / bright) ** np.float32(np.exp(draw.normal(0, 0.35)))
    if draw.random() < 0.3:
        sigma = draw.uniform(0, scanner.blur_mm) / spacing
        measured = ndimage.gaussian_filter(measured, sigma, truncate=2)
    if draw.random() < 0.1:
        measured = ghosts(measured, draw)
    measured = add_noise(measured, scanner.noise, draw)
    if draw.random() < scanner.thick:
        measured = thicken(measured, spacing, scanner, draw)
    return cut(measured, spacing, scanner, draw)


def add_noise(image: Volume, limit: float, draw: np.random.Generator) -> Volume:
    """Add noise as in a magnitude image: the length of a complex number (Rician).

    One image in three has none, and one in three none in the empty background.
    """
    kind = draw.random()
    if kind < 0.33:
        return image
    sigma = np.float32(draw.uniform(0, limit) * np.percentile(image, 99))
    real = image + sigma * draw.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * draw.standard_normal(image.shape, dtype=np.float32)
    noisy: Volume = np.hypot(real, imaginary)
    return np.where(image > 0, noisy, 0) if kind < 0.66 else noisy


def thicken(image: Volume, spacing: float, scanner: Scanner, draw: np.random.Generator) -> Volume:
    """Average over slices of a random thickness, along K in three images of five, then back.

    Each slice may have a gain of its own; they return linearly or as steps.
    """
    axis = int(draw.choice(3, p=[0.2, 0.2, 0.6]))
    thickness = draw.uniform(*scanner.slice_mm)
    step = thickness / spacing
    blurred = image
    if step > 1.2:
        width = step * draw.uniform(0.5, 1)
        blurred = ndimage.gaussian_filter1d(image, width / 2.355, axis=axis, truncate=2)
    count = image.shape[axis]
    where = np.arange(draw.uniform(0, step), count - 1, step)
    slices = np.moveaxis(_at(blurred, where, axis), axis, 0)
    if draw.random() < 0.3:
        slices = slices * draw.normal(1, scanner.gain, (len(where), 1, 1)).astype(np.float32)
    back = (np.arange(count) - where[0]) / step
    if draw.random() < 0.3:
        back = np.rint(back)
    return np.moveaxis(_at(slices, back, 0), 0, axis)


def ghosts(image: Volume, draw: np.random.Generator) -> Volume:
    """Add one fainter copy of the head, shifted along one axis as by motion or aliasing."""
    axis = int(draw.integers(3))
    shift = int(draw.integers(6, image.shape[axis] // 2 + 1)) * int(draw.choice([-1, 1]))
    ghost: Volume = image + np.float32(draw.uniform(0, 0.2)) * np.roll(image, shift, axis)
    return ghost


def cut(
    image: Volume, spacing: float, scanner: Scanner, draw: np.random.Generator
) -> tuple[Volume, Mask]:
    """End the field of view inside the volume, on random sides."""
    seen = np.ones(image.shape, dtype=bool)
    if draw.random() < scanner.cut:
        for axis, chance in enumerate((0.2, 0.2, 0.6)):
            view = np.moveaxis(seen, axis, 0)
            low, high = draw.uniform(0, scanner.cut_mm / spacing, 2).astype(int)
            if draw.random() < chance:
                view[:low] = False
            if draw.random() < chance:
                view[len(view) - high :] = False
    return np.where(seen, image, np.float32(0)), seen


def _at(volume: Volume, where: NDArray[np.float64], axis: int) -> Volume:
    """Return ``volume`` at fractional slices along ``axis``, linearly, held at the ends."""
    low = np.clip(np.floor(where), 0, volume.shape[axis] - 1).astype(int)
    high = np.minimum(low + 1, volume.shape[axis] - 1)
    share = np.clip(where - low, 0, 1).astype(np.float32)
    share = share.reshape([-1 if a == axis else 1 for a in range(3)])
    lower, upper = np.take(volume, low, axis), np.take(volume, high, axis)
    result: Volume = lower + share * (upper - lower)
    return result
