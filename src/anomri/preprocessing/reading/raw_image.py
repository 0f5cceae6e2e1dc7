"""One image in its file's own axis order, and checks of its shape and affine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.errors import BadIntensities, UnreadableScan, WrongShape
from anomri.scan import Affine, Grid, Labels, Mask, Note, NoteKind

MAX_VOXELS = 2**30  # 4 GiB as float32, eight times a 512 x 512 x 512 scan
MIN_SLICES = 3
VOXEL_MM = (0.05, 30.0)  # other sizes mean metres, or a damaged header
MAX_OFFSET_MM = 1e9  # from the world's origin; beyond it rounding loses steps of one voxel
SPACING_UNKNOWN = Note(NoteKind.VOXEL_SIZE, "the file has no voxel size")
SINGULAR = 1e-6  # determinant relative to the product of the axes' lengths


@dataclass(frozen=True, slots=True)
class RawImage:
    """An image in its file's own axis order.

    Attributes:
        name: file name, for errors and notes.
        values: (I, J, K) in the file's order.
        grid: grid of the values.
        spacing_known: False where the file has no voxel size.
        notes: remarks on the file, for the user.
        orientation_known: False where the header does not state the orientation of the head.
        undefined: (I, J, K) bool, NaN or infinite voxels of the file; None where there are none.
    """

    name: str
    values: NDArray[Any]
    grid: Grid
    spacing_known: bool = True
    notes: tuple[Note, ...] = ()
    orientation_known: bool = True
    undefined: Mask | None = None

    def with_values(self, values: NDArray[Any]) -> RawImage:
        """Return the same image with other values."""
        return replace(self, values=values)

    def mask(self) -> Mask:
        """Return (I, J, K) bool, True above zero.

        Raises:
            BadIntensities: no voxel is above zero.
        """
        mask: Mask = self.values > 0
        if not mask.any():
            raise BadIntensities(
                self.name,
                expected="a mask with voxels above zero",
                got="none",
                next_step="omit the mask, or give the right file",
            )
        return mask

    def labels(self) -> Labels:
        """Return (I, J, K) label numbers as in the file.

        Raises:
            BadIntensities: a value is not a whole number from 0 to 255.
        """
        return self._whole_numbers(255).astype(np.uint8)

    def numbers(self) -> NDArray[np.uint16]:
        """Return (I, J, K) numbers of lesions, of which a scan may have more than 255.

        Raises:
            BadIntensities: a value is not a whole number from 0 to 65535.
        """
        return self._whole_numbers(65535).astype(np.uint16)

    def _whole_numbers(self, highest: int) -> NDArray[np.float32]:
        rounded: NDArray[np.float32] = np.rint(self.values)
        low, high = float(rounded.min()), float(rounded.max())
        whole = bool((self.values == rounded).all())
        whole = whole or bool((np.abs(self.values - rounded) < 0.01).all())
        if not whole or low < 0 or high > highest:
            raise BadIntensities(
                self.name,
                expected=f"whole label numbers from 0 to {highest}",
                got=f"values from {low:g} to {high:g}" + ("" if whole else ", not all whole"),
                next_step="give a segmentation, not an image or a probability map",
            )
        return rounded


def spatial_shape(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    """Return the three spatial axes of ``shape``, without trailing axes of length 1.

    Raises:
        WrongShape: not three axes, an axis that is too short, or too many voxels.
    """
    kept = tuple(int(n) for n in shape)
    while len(kept) > 3 and kept[-1] == 1:
        kept = kept[:-1]
    got = " x ".join(map(str, kept)) or "no axes"
    if len(kept) != 3:
        raise WrongShape(
            name,
            expected="one volume with three axes",
            got=f"a {len(kept)}-D image of {got}",
            next_step=_AXES if len(kept) > 3 else _WHOLE,
        )
    if min(kept) < MIN_SLICES:
        raise WrongShape(
            name,
            expected=f"at least {MIN_SLICES} voxels along each axis",
            got=got,
            next_step=_WHOLE,
        )
    if int(np.prod(kept, dtype=object)) > MAX_VOXELS:
        raise WrongShape(
            name,
            expected=f"at most {MAX_VOXELS} voxels",
            got=got,
            next_step="check the file: its header may be damaged",
        )
    return kept[0], kept[1], kept[2]


_WHOLE = "give the whole volume, not a slice of it"
_AXES = "save the volume you mean to a file of its own, for example with nibabel's four_to_three"


def checked_affine(affine: Affine | None, name: str) -> Affine:
    """Return ``affine`` as float64 if it is plausible for a scan of a head.

    Raises:
        UnreadableScan: missing, not finite or singular, with implausible voxel sizes, or too far
            from the world's origin.
    """
    matrix = np.eye(4) if affine is None else np.asarray(affine, dtype=np.float64)
    finite = bool(np.isfinite(matrix).all())
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    flat = not finite or abs(np.linalg.det(matrix[:3, :3])) <= SINGULAR * np.prod(lengths)
    if affine is None or flat:
        raise UnreadableScan(
            name,
            expected="a header that places the voxels in space",
            got="an affine that cannot be inverted" if finite else "an affine that is not finite",
            next_step="convert the original DICOM files again, for example with dcm2niix",
        )
    if lengths.min() < VOXEL_MM[0] or lengths.max() > VOXEL_MM[1]:
        raise UnreadableScan(
            name,
            expected=f"voxels of {VOXEL_MM[0]:g} to {VOXEL_MM[1]:g} mm along each axis",
            got=" x ".join(f"{mm:.3g}" for mm in lengths) + " mm",
            next_step="check voxel size and units in its header, or convert the scan again",
        )
    if np.abs(matrix[:3, 3]).max() > MAX_OFFSET_MM:
        raise UnreadableScan(
            name,
            expected=f"a volume within {MAX_OFFSET_MM:g} mm of the world's origin",
            got=" x ".join(f"{mm:.3g}" for mm in matrix[:3, 3]) + " mm",
            next_step="check the offsets in its header, or convert the scan again",
        )
    return matrix


def centred_affine(axes: NDArray[np.float64], shape: tuple[int, int, int]) -> Affine:
    """Return the affine of (3, 3) ``axes`` with the origin in the centre of the volume."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


def refuse_constant(values: NDArray[np.float32], name: str) -> None:
    """Refuse an image with the same value in every voxel.

    Raises:
        BadIntensities: all values are equal.
    """
    low = float(values.min())
    if low < float(values.max()):
        return
    raise BadIntensities(
        name,
        expected="an image",
        got=f"{low:g} in every voxel" if low else "zero in every voxel",
        next_step="check the export of this series",
    )
