"""Random MR acquisition: bias field, blur, thick slices, noise, artefacts.

Images are (N, I, J, K) float32, isotropic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anomri.synthesis.random_fields import along, blur, gaussian, hats, smooth_field
from anomri.synthesis.random_streams import RandomStreams

FWHM = 2.355  # standard deviations of a Gaussian
SLICE_TRUNCATE = 2.0  # standard deviations


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
    """

    thick: float = 0.4
    slice_mm: tuple[float, float] = (3.0, 9.0)
    bias: float = 0.3
    noise: float = 0.06
    blur_mm: float = 1.5
    gain: float = 0.06


def acquire(images: Tensor, spacing: float, scanner: Scanner, random: RandomStreams) -> Tensor:
    """Return the images as acquired by random scanners.

    Args:
        images: (N, I, J, K) true signal.
        spacing: voxel size in mm.
        scanner: ranges of the parameters.
        random: streams of random numbers, one per image.
    """
    acquired, shape = images.clone(), images.shape[1:]
    if chosen := random.chosen(0.7):
        part = random.of(chosen)
        field = smooth_field(shape, part.integers(3, 6), part)
        acquired[chosen] *= torch.exp(part.uniform(0, scanner.bias) * field)
    if chosen := random.chosen(0.4):
        bright = percentile(acquired[chosen], 99.5)
        bright = torch.where(bright > 0, bright, 1)
        power = (0.35 * random.of(chosen).normal(1))[..., None, None].exp()
        acquired[chosen] = bright * (acquired[chosen] / bright) ** power
    if chosen := random.chosen(0.3):
        sigmas = [mm / spacing for mm in random.of(chosen).numbers(0, scanner.blur_mm)]
        acquired[chosen] = blur(acquired[chosen], sigmas, SLICE_TRUNCATE)
    if chosen := random.chosen(0.1):
        acquired[chosen] = add_ghosts(acquired[chosen], random.of(chosen))
    acquired = add_noise(acquired, scanner.noise, random)
    if chosen := random.chosen(scanner.thick):
        acquired[chosen] = thicken_slices(acquired[chosen], spacing, scanner, random.of(chosen))
    return acquired


def add_noise(images: Tensor, limit: float, random: RandomStreams) -> Tensor:
    """Add Rician noise, as in magnitude images.

    A third of the images get none, and another third none in the empty background.
    """
    kinds, sigma = random.numbers(), random.uniform(0, limit) * percentile(images, 99)
    noisy = images.clone()
    for n, kind in enumerate(kinds):
        if kind >= 0.33:
            real, imaginary = random.of([n]).noise([[2, *images.shape[1:]]])[0] * sigma[n]
            magnitude = torch.hypot(images[n] + real, imaginary)
            noisy[n] = magnitude if kind >= 0.66 else magnitude * (images[n] > 0)
    return noisy


def thicken_slices(
    images: Tensor, spacing: float, scanner: Scanner, random: RandomStreams
) -> Tensor:
    """Average into slices of random thickness, mostly along K, and resample back.

    Slices may differ in gain; they are interpolated linearly or to the nearest slice.
    """
    steps = [mm / spacing for mm in random.numbers(*scanner.slice_mm)]
    result = images.clone()
    for n, (which, step) in enumerate(zip(random.numbers(), steps, strict=True)):
        axis = 3 if which < 0.6 else 1 + int(which < 0.8)
        matrix = _slices(images.shape[axis], step, scanner.gain, random.of([n]))
        result[n : n + 1] = along(images[n : n + 1], matrix.to(images.device)[None], axis)
    return result


def _slices(count: int, step: float, gain: float, random: RandomStreams) -> Tensor:
    """Return the (count, count) matrix that averages into slices and resamples back."""
    width, start = random.numbers(0.5, 1)[0], random.numbers(0, step)[0]
    positions = torch.arange(start, count - 1, step)
    blurring = gaussian(count, step * width / FWHM, SLICE_TRUNCATE)
    slices = hats(positions, count) @ (blurring if step > 1.2 else torch.eye(count))
    if random.chosen(0.3):
        slices *= 1 + gain * random.normal(len(positions)).cpu().T
    back = (torch.arange(count) - positions[0]) / step
    return hats(back.round() if random.chosen(0.3) else back, len(positions)) @ slices


def add_ghosts(images: Tensor, random: RandomStreams) -> Tensor:
    """Add a faint copy of each head, shifted along one axis as by motion or aliasing."""
    axes, strength = random.integers(0, 3), random.uniform(0, 0.2)
    where, signs = random.numbers(), random.integers(0, 2)
    ghosts = []
    for image, axis, share, sign in zip(images, axes, where, signs, strict=True):
        shift = 6 + int(share * (image.shape[axis] // 2 - 5))
        ghosts.append(image.roll(shift if sign else -shift, axis))
    return images + strength * torch.stack(ghosts)


def percentile(images: Tensor, percent: float) -> Tensor:
    """Return (N, 1, 1, 1), the value of each image that so many percent of its voxels reach."""
    voxels = images.flatten(1)
    rank = 1 + round(percent / 100 * (voxels.shape[1] - 1))
    return voxels.kthvalue(rank).values[:, None, None, None]
