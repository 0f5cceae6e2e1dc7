"""The bias field: slow changes of brightness that coils leave in a scan.

The field is estimated on a shrunken image and divided out of the full one; a field that varies
over centimetres loses nothing by that.
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

MARGIN = 2  # voxels around the brain that take part
NEGATIVE_SHARE = 0.05  # more of the brain at or below zero has no logarithm worth fitting
SMALLEST_AXIS = 4  # nodes of a cubic spline

NOT_POSITIVE = Note(
    NoteKind.INTENSITIES, "bias field left as it is: the brain holds values at or below zero"
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
    """Return ``volume`` without its bias field; the brain's median stays what it was.

    SimpleITK's N4 (Tustison et al. 2010) fits a cubic B-spline to the logarithm of the field,
    inside the brain, on a grid of about ``shrink_mm`` along each axis. Axes that are as coarse
    already are not shrunken.

    Args:
        volume: (I, J, K).
        brain: (I, J, K).
        spacing: mm along I, J, K.
        shrink_mm: voxel side of the image that the field is fitted to.
        iterations: at most, per level.
        levels: of the spline; each halves the distance of its nodes.
        fwhm: of the histogram deconvolution, as ITK calls it.

    Raises:
        ValueError: N4 found no finite field.
    """
    box = brain_box(brain, MARGIN)
    inside = brain[box] & (volume[box] > 0)
    steps = _steps(inside.shape, spacing, shrink_mm)
    log_field = _n4_field(
        np.where(inside, volume[box], 0), inside, steps, [iterations] * levels, fwhm
    )
    matrix = np.diag([*(1 / np.array(steps)), 1.0])
    matrix[:3, 3] = (1 / np.array(steps) - 1) / 2
    near: Volume = sample(_edged(log_field), _shifted(matrix), inside.shape, linear=True)
    if not np.isfinite(near).all():
        raise ValueError("a bias field that is not finite")
    corrected = volume.astype(np.float32, copy=True)
    corrected[box] = volume[box] * np.exp(-near)
    ratio = np.median(volume[brain]) / np.median(corrected[brain])
    corrected[box] *= np.float32(ratio)
    return corrected


CORRECTIONS: dict[str, Correction] = {"n4": n4}


def correct(
    volume: Volume, brain: Mask, spacing: Spacing, step: Step, name: str
) -> tuple[Volume, list[Note]]:
    """Correct one contrast; return it and what a reader must know.

    Args:
        volume: (I, J, K).
        brain: (I, J, K).
        spacing: mm along I, J, K.
        step: the correction, by name, with its options.
        name: of the file, for the error.

    Raises:
        BadIntensities: no finite field could be found.
        RecipeError: there is no such correction or option.
    """
    correction = bind(CORRECTIONS, step)
    if np.mean(volume[brain] <= 0) > NEGATIVE_SHARE:
        return volume, [NOT_POSITIVE]
    try:
        return correction(volume, brain, spacing), []
    except (ValueError, RuntimeError) as error:
        raise BadIntensities(
            name,
            expected="a brain whose bias field can be estimated",
            got=str(error).splitlines()[-1],
            next_step="look at the scan and its brain mask, or leave `bias_field` out",
        ) from error


def _steps(shape: tuple[int, ...], spacing: Spacing, shrink_mm: float) -> tuple[int, ...]:
    """Return how many voxels become one, along each axis."""
    wanted = (max(int(shrink_mm / mm + 1e-6), 1) for mm in spacing)
    return tuple(
        max(min(step, count // SMALLEST_AXIS), 1) for step, count in zip(wanted, shape, strict=True)
    )


def _n4_field(
    values: Volume, inside: Mask, steps: tuple[int, ...], iterations: list[int], fwhm: float
) -> NDArray[np.float32]:
    """Return the logarithm of the field on the shrunken grid."""
    held = _blocks(inside, steps).any(axis=(1, 3, 5))
    image = SimpleITK.GetImageFromArray(_block_mean(values, inside, steps))
    mask = SimpleITK.GetImageFromArray(np.asarray(held, dtype=np.uint8))
    n4_filter = SimpleITK.N4BiasFieldCorrectionImageFilter()
    n4_filter.SetNumberOfThreads(1)  # sums of several threads differ in their last digits
    n4_filter.SetMaximumNumberOfIterations(iterations)
    n4_filter.SetBiasFieldFullWidthAtHalfMaximum(fwhm)
    n4_filter.Execute(image, mask)
    field: NDArray[np.float32] = SimpleITK.GetArrayFromImage(
        n4_filter.GetLogBiasFieldAsImage(image)
    )
    return field.astype(np.float32)


def _blocks(values: NDArray[np.generic], steps: tuple[int, ...]) -> NDArray[np.generic]:
    """Cut an array into blocks, padded at its ends: axes count, inside, count, inside, ..."""
    padded = np.pad(values, [(0, -n % s) for n, s in zip(values.shape, steps, strict=True)])
    lengths = [part for n, s in zip(padded.shape, steps, strict=True) for part in (n // s, s)]
    return padded.reshape(lengths)


def _block_mean(values: Volume, inside: Mask, steps: tuple[int, ...]) -> NDArray[np.float32]:
    """Mean over the brain voxels of each block, 0 where there are none."""
    total = _blocks(values, steps).sum(axis=(1, 3, 5), dtype=np.float64)
    count = _blocks(inside, steps).sum(axis=(1, 3, 5))
    mean: NDArray[np.float32] = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return mean.astype(np.float32)


def _edged(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeat the outermost voxels once, so that interpolation has no zeros to look at."""
    return np.pad(field, 1, mode="edge")


def _shifted(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = matrix.copy()
    shifted[:3, 3] += 1
    return shifted
