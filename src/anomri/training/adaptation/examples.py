"""A scan with its label-free segmentation, from which a network learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.files import replacing, undamaged
from anomri.scan import Image, Mask

ARRAYS = ("image", "brain", "regions", "doubtful", "weight")
START_AGAIN = "delete it and run the same command again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A scan on the network's isotropic voxels, with what a model without labels found in it.

    Attributes:
        image: (C, I, J, K) standardised contrasts; a missing one is 0 everywhere.
        brain: (I, J, K) bool.
        regions: (R, I, J, K) bool, nested, the lesions first; the others may be empty.
        doubtful: (I, J, K) bool, where a lesion may be; the other voxels count as healthy.
        weight: from 0 to 1, how much the scan counts.
    """

    image: Image
    brain: Mask
    regions: NDArray[np.bool_]
    doubtful: Mask
    weight: float

    @property
    def lesions(self) -> Mask:
        """(I, J, K) bool, the label-free mask."""
        lesions: Mask = self.regions[0]
        return lesions


def write_example(path: Path, example: Example) -> None:
    """Write an example as a compressed archive of arrays, atomically."""
    arrays: dict[str, Any] = {name: np.asarray(getattr(example, name)) for name in ARRAYS}
    with replacing(path) as draft, draft.open("xb") as stream:
        np.savez_compressed(stream, **arrays)


def read_example(path: Path) -> Example:
    """Read an example.

    Raises:
        DamagedFile: the file cannot be read.
    """
    guard = undamaged(path, what="a scan to learn from", next_step=START_AGAIN)
    with guard, path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        arrays = {name: file[name] for name in ARRAYS}
        return Example(**{**arrays, "weight": float(arrays["weight"])})
