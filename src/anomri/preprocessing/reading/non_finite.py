"""Voxels that are no numbers: background outside the brain, a refusal within it.

Other programs write NaN where they saw nothing: beyond the field of view after resampling, and
outside the brain after skull-stripping. A division by an empty background leaves infinite values.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anomri.errors import BadIntensities
from anomri.preprocessing.components import filled
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.scan import Mask, Note, NoteKind

MAX_RIM_SHARE = 0.1  # of the brain: masks of two programs differ at the rim by no more


def as_background(native: RawImage) -> RawImage:
    """Return an image whose NaN and infinite voxels hold the background's value.

    That is 0, or the lowest value where there are lower ones. ``undefined`` remembers which they
    were.

    Raises:
        BadIntensities: no voxel is a finite number.
    """
    values = native.values
    # The extremes tell: NaN survives both. Looking at each voxel is left to the rare case.
    if np.isfinite([values.min(), values.max()]).all():
        return native
    undefined: Mask = ~np.isfinite(values)
    if undefined.all():
        raise _refusal(native, int(undefined.sum()), "in all of the image")
    lowest = min(float(values[~undefined].min()), 0.0)
    values = np.where(undefined, np.float32(lowest), values)
    count = int(undefined.sum())
    text = f"{native.name}: {count} voxels that are NaN or infinite, taken as background"
    note = Note(NoteKind.INTENSITIES, text)
    return replace(native, values=values, undefined=undefined, notes=(*native.notes, note))


def refuse_within(native: RawImage, undefined: Mask, brain: Mask) -> None:
    """Raise where the brain holds voxels that are no numbers; a thin rim of them is background.

    Args:
        native: the image, for its name.
        undefined: (I, J, K), which voxels are no numbers.
        brain: (I, J, K), on the same grid.

    Raises:
        BadIntensities: the rest of the brain encloses some, or they are a tenth of it.
    """
    lost = undefined & brain
    if not lost.any():
        return
    enclosed = undefined & filled(brain & ~undefined)
    if enclosed.any():
        raise _refusal(native, int(enclosed.sum()), "inside the brain")
    if lost.sum() > MAX_RIM_SHARE * brain.sum():
        raise _refusal(native, int(lost.sum()), "in the brain")


def refuse_not_finite(native: RawImage) -> None:
    """Raise unless every voxel of a mask or a map is a finite number.

    Raises:
        BadIntensities: with the count of those that are not.
    """
    values = native.values
    if not np.isfinite([values.min(), values.max()]).all():
        raise _refusal(native, int(values.size - np.count_nonzero(np.isfinite(values))), "")


def _refusal(native: RawImage, count: int, where: str) -> BadIntensities:
    return BadIntensities(
        native.name,
        expected="finite values",
        got=f"{count} voxels that are NaN or infinite {where}".rstrip(),
        next_step="export the scan again; NaN is taken as background outside the brain only",
    )
