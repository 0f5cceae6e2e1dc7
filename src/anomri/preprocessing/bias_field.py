"""Bias field correction: smooth intensity inhomogeneity caused by the receive coils.

The field is estimated on a downsampled image and divided out of the full one. It varies over
centimetres, so downsampling loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from anomri.errors import BadIntensities
from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.resampling import sample
from anomri.recipe import Step, bind
from anomri.scan import Mask, Note, NoteKind, Volume

Spacing = tuple[float, float, float]
Correction = Callable[..., Volume]

MARGIN = 2  # voxels around the brain that are corrected too
MAX_NON_POSITIVE = 0.05  # fraction of the brain without a logarithm
MIN_LENGTH = 4  # voxels along an axis of the downsampled image, for a cubic spline

NOT_POSITIVE = Note(
    NoteKind.INTENSITIES, "bias field not corrected: the brain has values at or below zero"
)


def n4(
    volume: Volume,
    brain: Mask,
    spacing: Spacing,
    *,
    shrink_mm: float = 4.0,
    iterations: int = 50,
    levels: int = 4,
    fwhm: float = 0.15,
) -> Volume:
    """Return ``volume`` without its bias field; the median of the brain is preserved.

    SimpleITK's N4 (Tustison et al. 2010) fits a cubic B-spline to the logarithm of the field
    within the brain, on voxels of about ``shrink_mm``. Axes with larger voxels are not
    downsampled.

    Args:
        volume: (I, J, K).
        brain: (I, J, K) bool.
        spacing: mm along I, J, K.
        shrink_mm: voxel size of the image that the field is fitted to.
        iterations: maximum per level.
        levels: levels of the spline; each halves the distance of its control points.
        fwhm: full width at half maximum of the histogram deconvolution, an ITK parameter.

    Raises:
        ValueError: N4 found no finite field.
    """
    box = brain_box(brain, MARGIN)
    inside = brain[box] & (volume[box] > 0)
    factors = _shrink_factors(inside.shape, spacing, shrink_mm)
    log_field = _n4_log_field(
        np.where(inside, volume[box], 0), inside, factors, [iterations] * levels, fwhm
    )
    # Shifted by one voxel, which is the padding of the field.
    matrix = np.diag([*(1 / np.array(factors)), 1.0])
    matrix[:3, 3] = (1 / np.array(factors) - 1) / 2 + 1
    padded = np.pad(log_field, 1, mode="edge")  # so that interpolation reads no zeros
    full_log_field: Volume = sample(padded, matrix, inside.shape, linear=True)
    if not np.isfinite(full_log_field).all():
        raise ValueError("a bias field that is not finite")
    corrected = volume.astype(np.float32, copy=True)
    corrected[box] = volume[box] * np.exp(-full_log_field)
    ratio = np.median(volume[brain]) / np.median(corrected[brain])
    corrected[box] *= np.float32(ratio)
    return corrected


BIAS_CORRECTIONS: dict[str, Correction] = {"n4": n4}


def correct_bias_field(
    volume: Volume, brain: Mask, spacing: Spacing, step: Step, name: str
) -> tuple[Volume, list[Note]]:
    """Correct the bias field of one contrast.

    Args:
        volume: (I, J, K).
        brain: (I, J, K) bool.
        spacing: mm along I, J, K.
        step: name and options of the correction.
        name: file name, for errors.

    Returns:
        The corrected volume and notes.

    Raises:
        BadIntensities: no finite field was found.
        RecipeError: unknown correction or option.
    """
    correction = bind(BIAS_CORRECTIONS, step)
    if np.mean(volume[brain] <= 0) > MAX_NON_POSITIVE:
        return volume, [NOT_POSITIVE]
    try:
        return correction(volume, brain, spacing), []
    except (ValueError, RuntimeError) as error:
        raise BadIntensities(
            name,
            expected="a brain whose bias field can be estimated",
            got=str(error).splitlines()[-1],
            next_step="check the scan and its brain mask, or remove `bias_field` from the recipe",
        ) from error


def _shrink_factors(shape: tuple[int, ...], spacing: Spacing, shrink_mm: float) -> tuple[int, ...]:
    """Return how many voxels along each axis are averaged to one."""
    factors = (max(int(shrink_mm / mm + 1e-6), 1) for mm in spacing)
    return tuple(
        max(min(factor, length // MIN_LENGTH), 1)
        for factor, length in zip(factors, shape, strict=True)
    )


def _n4_log_field(
    values: Volume, inside: Mask, factors: tuple[int, ...], iterations: list[int], fwhm: float
) -> NDArray[np.float32]:
    """Return the logarithm of the field on the downsampled grid."""
    occupied = _blocks(inside, factors).any(axis=(1, 3, 5))
    image = SimpleITK.GetImageFromArray(_block_mean(values, inside, factors))
    mask = SimpleITK.GetImageFromArray(np.asarray(occupied, dtype=np.uint8))
    n4_filter = SimpleITK.N4BiasFieldCorrectionImageFilter()
    n4_filter.SetNumberOfThreads(1)  # multi-threaded sums differ in their last digits
    n4_filter.SetMaximumNumberOfIterations(iterations)
    n4_filter.SetBiasFieldFullWidthAtHalfMaximum(fwhm)
    n4_filter.Execute(image, mask)
    field: NDArray[np.float32] = SimpleITK.GetArrayFromImage(
        n4_filter.GetLogBiasFieldAsImage(image)
    )
    return field.astype(np.float32)


def _blocks(values: NDArray[np.generic], factors: tuple[int, ...]) -> NDArray[np.generic]:
    """Split an array, padded at its ends, into blocks.

    Returns:
        (blocks along I, voxels of a block along I, the same for J, the same for K).
    """
    padded = np.pad(values, [(0, -n % f) for n, f in zip(values.shape, factors, strict=True)])
    lengths = [part for n, f in zip(padded.shape, factors, strict=True) for part in (n // f, f)]
    return padded.reshape(lengths)


def _block_mean(values: Volume, inside: Mask, factors: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the mean over the brain voxels of each block, 0 where there are none."""
    total = _blocks(values, factors).sum(axis=(1, 3, 5), dtype=np.float64)
    count = _blocks(inside, factors).sum(axis=(1, 3, 5))
    mean: NDArray[np.float32] = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return mean.astype(np.float32)
