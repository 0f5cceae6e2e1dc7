"""Images in memory: SimpleITK images and arrays with their affine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from anomri.errors import UnreadableScan, UsageError, WrongShape
from anomri.preprocessing.reading.raw_image import RawImage, checked_affine, spatial_shape
from anomri.scan import Affine, Grid

# The array of a pair is a NumPy array, a torch tensor, or anything that NumPy can convert.
ImageSource = str | PathLike[str] | SpatialImage | SimpleITK.Image | tuple[Any, Any]

EXPECTED = "a path, a nibabel image, a SimpleITK image or a pair (array, affine)"
USUAL_CONTRASTS = ("flair", "t1", "t1ce", "t2")  # of other models, too
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK uses LPS+ coordinates


def check_images(images: object, contrasts: Sequence[str]) -> None:
    """Refuse what are not images by contrast.

    Args:
        images: that a caller gave.
        contrasts: of the model.

    Raises:
        UsageError: ``images`` is no mapping from contrast names, or has a name that is not known,
            whose image would be left out.
    """
    if not isinstance(images, Mapping) or not all(isinstance(name, str) for name in images):
        raise UsageError(
            f"detect: expected images by contrast, such as {{'{contrasts[0]}': image}}, "
            f"got {type(images).__name__}. Next: name the contrast of the image."
        )
    known = dict.fromkeys((*contrasts, *USUAL_CONTRASTS))
    if unknown := [name for name in images if name not in known]:
        raise UsageError(
            f"detect: contrast '{unknown[0]}': expected one of {', '.join(known)}. "
            "Next: check the spelling, or leave the image out."
        )


def name_of_images(images: object, number: int) -> str:
    """Return a name for a subject: that of its first file, or its place in a sequence.

    >>> name_of_images({"flair": "p1_flair.nii.gz"}, 1), name_of_images({}, 2)
    ('p1_flair', 'scan0002')
    """
    first = next(iter(images.values()), None) if isinstance(images, Mapping) else None
    if isinstance(first, str | PathLike):
        return Path(first).name.split(".")[0]
    return f"scan{number:04d}"


def to_simpleitk(image: SpatialImage) -> SimpleITK.Image:
    """Return a nibabel image as a SimpleITK image at the same place."""
    result = SimpleITK.GetImageFromArray(np.asarray(image.dataobj).T)
    affine = LPS_TO_RAS @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    result.SetSpacing(spacing.tolist())
    result.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    result.SetOrigin(affine[:3, 3].tolist())
    return result


def raw_image_of(source: object, name: str) -> RawImage | None:
    """Convert a SimpleITK image or an (array, affine) pair.

    Args:
        source: the image.
        name: its name, for errors.

    Returns:
        The image; None for paths and nibabel images.

    Raises:
        UnreadableScan: none of these types, such as an array without its affine.
        WrongShape: not one number per voxel on three axes.
    """
    if isinstance(source, str | Path | PathLike | SpatialImage):
        return None
    if isinstance(source, SimpleITK.Image):
        return _raw_image_of_simpleitk(source, name)
    if isinstance(source, tuple | list) and len(source) == 2:
        return _raw_image(_as_array(source[0], name), _as_affine(source[1], name), name)
    raise _unknown_type(source, name)


def _raw_image_of_simpleitk(image: SimpleITK.Image, name: str) -> RawImage:
    # ITK stores arrays as (K, J, I) and coordinates as LPS+.
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise _not_scalar(f"{image.GetNumberOfComponentsPerPixel()} numbers per voxel", name)
    dimensions = image.GetDimension()
    values = np.asarray(SimpleITK.GetArrayFromImage(image)).T
    affine = np.eye(4)
    if dimensions >= 3:
        direction = np.array(image.GetDirection()).reshape(dimensions, dimensions)[:3, :3]
        affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
        affine[:3, 3] = image.GetOrigin()[:3]
    return _raw_image(values, LPS_TO_RAS @ affine, name)


def _raw_image(values: NDArray[Any], affine: Affine, name: str) -> RawImage:
    shape = spatial_shape(values.shape, name)
    if values.dtype.kind not in "buif":
        raise _not_scalar(f"values of type {values.dtype}", name)
    with np.errstate(over="ignore"):
        copy = values.reshape(shape).astype(np.float32)  # the caller's array stays unchanged
    return RawImage(name, copy, Grid(shape=shape, affine=checked_affine(affine, name)))


def _as_array(values: Any, name: str) -> NDArray[Any]:
    """Return an array, or a tensor on any device, as a NumPy array."""
    if hasattr(values, "detach"):  # a torch tensor; NumPy has no bfloat16
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        values = values.numpy()
    if not hasattr(values, "__array__"):
        raise _unknown_type(values, name)
    return np.asarray(values)


def _as_affine(values: Any, name: str) -> Affine:
    try:
        numbers = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
        matrix: Affine = numbers.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise _not_affine(type(values).__name__, name) from error
    if matrix.shape != (4, 4):
        raise _not_affine(" x ".join(map(str, matrix.shape)) or "one number", name)
    return matrix


def _not_affine(got: str, name: str) -> UnreadableScan:
    return UnreadableScan(
        name,
        expected="a pair (array, affine) whose affine has 4 x 4 numbers",
        got=got,
        next_step="give the 4 x 4 matrix from voxel index to RAS+ millimetres",
    )


def _not_scalar(got: str, name: str) -> WrongShape:
    return WrongShape(
        name,
        expected="one number per voxel",
        got=got,
        next_step="give the scan itself, not a coloured overlay or a complex image",
    )


def _unknown_type(source: object, name: str) -> UnreadableScan:
    kind = f"{type(source).__module__}.{type(source).__qualname__}".removeprefix("builtins.")
    shape = getattr(source, "shape", None)
    detail = f" of shape {tuple(shape)}, without the position of its voxels" if shape else ""
    return UnreadableScan(
        name,
        expected=EXPECTED,
        got=f"{kind}{detail}",
        next_step="give (array, affine), with the 4 x 4 affine from voxel index to RAS+ mm",
    )
