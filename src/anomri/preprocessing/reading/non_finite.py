"""NaN and infinite voxels: background outside the brain, refused inside it.

Other programs write NaN beyond the field of view after resampling, and outside the brain after
skull-stripping. Dividing by an empty background leaves infinite values.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anomri.errors import BadIntensities
from anomri.preprocessing.connected_components import fill_holes
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.scan import Mask, Note, NoteKind

MAX_RIM_FRACTION = 0.1  # of the brain: brain masks of two programs differ less at the rim


def replace_non_finite(image: RawImage) -> RawImage:
    """Replace NaN and infinite voxels with the background's value, and note how many.

    The background's value is 0, or the lowest finite value if that is negative. ``undefined`` of
    the result marks the replaced voxels.

    Raises:
        BadIntensities: no voxel is finite.
    """
    values = image.values
    # NaN propagates to minimum and maximum, so that most images need no test of each voxel.
    if np.isfinite([values.min(), values.max()]).all():
        return image
    undefined: Mask = ~np.isfinite(values)
    if undefined.all():
        raise _refusal(image, int(undefined.sum()), "in the whole image")
    lowest = min(float(values[~undefined].min()), 0.0)
    values = np.where(undefined, np.float32(lowest), values)
    count = int(undefined.sum())
    text = f"{image.name}: {count} voxels that are NaN or infinite, taken as background"
    note = Note(NoteKind.INTENSITIES, text)
    return replace(image, values=values, undefined=undefined, notes=(*image.notes, note))


def refuse_non_finite_in_brain(image: RawImage, undefined: Mask, brain: Mask) -> None:
    """Refuse NaN and infinite voxels inside the brain; a thin rim of them counts as background.

    Args:
        image: the image, for its name.
        undefined: (I, J, K) bool, NaN and infinite voxels.
        brain: (I, J, K) bool, on the same grid.

    Raises:
        BadIntensities: the brain encloses such voxels, or they are more than a tenth of it.
    """
    undefined_brain = undefined & brain
    if not undefined_brain.any():
        return
    enclosed = undefined & fill_holes(brain & ~undefined)
    if enclosed.any():
        raise _refusal(image, int(enclosed.sum()), "inside the brain")
    if undefined_brain.sum() > MAX_RIM_FRACTION * brain.sum():
        raise _refusal(image, int(undefined_brain.sum()), "in the brain")


def refuse_non_finite(image: RawImage) -> None:
    """Refuse a mask or a map with NaN or infinite voxels.

    Raises:
        BadIntensities: with their count.
    """
    values = image.values
    if not np.isfinite([values.min(), values.max()]).all():
        raise _refusal(image, int(values.size - np.count_nonzero(np.isfinite(values))), "")


def _refusal(image: RawImage, count: int, where: str) -> BadIntensities:
    return BadIntensities(
        image.name,
        expected="finite values",
        got=f"{count} voxels that are NaN or infinite {where}".rstrip(),
        next_step="export the scan again; NaN is taken as background outside the brain only",
    )
