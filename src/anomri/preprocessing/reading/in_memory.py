"""Images that a Python program holds: nibabel, SimpleITK, or an array with its affine."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from anomri.errors import UnreadableScan, WrongShape
from anomri.preprocessing.reading.raw_image import RawImage, checked_affine, spatial_shape
from anomri.scan import Affine, Grid

# An array is a NumPy array, a torch tensor, or anything else that NumPy makes an array of.
ImageSource = str | PathLike[str] | SpatialImage | SimpleITK.Image | tuple[Any, Any]

EXPECTED = "a path, a nibabel image, a SimpleITK image or a pair (array, affine)"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's axes point left and posterior, ours do not


def raw_image_of(source: object, name: str) -> RawImage | None:
    """Return a SimpleITK image or an (array, affine) pair; None for paths and nibabel images.

    Args:
        source: what the program gave.
        name: what to call it in errors.

    Raises:
        UnreadableScan: it is none of these, such as an array without its affine.
        WrongShape: it has not three axes, or not one number per voxel.
    """
    if isinstance(source, str | Path | PathLike | SpatialImage):
        return None
    if isinstance(source, SimpleITK.Image):
        return _of_simpleitk(source, name)
    if isinstance(source, tuple | list) and len(source) == 2:
        return _native(_array(source[0], name), _affine(source[1], name), name)
    raise _unknown(source, name)


def _of_simpleitk(image: SimpleITK.Image, name: str) -> RawImage:
    """Read (I, J, K) values and the RAS affine; ITK keeps arrays as K, J, I and points in LPS."""
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise _no_numbers(f"{image.GetNumberOfComponentsPerPixel()} numbers per voxel", name)
    dimensions = image.GetDimension()
    values = np.asarray(SimpleITK.GetArrayFromImage(image)).T
    affine = np.eye(4)
    if dimensions >= 3:
        direction = np.array(image.GetDirection()).reshape(dimensions, dimensions)[:3, :3]
        affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
        affine[:3, 3] = image.GetOrigin()[:3]
    return _native(values, LPS_TO_RAS @ affine, name)


def _native(values: NDArray[Any], affine: Affine, name: str) -> RawImage:
    shape = spatial_shape(values.shape, name)
    if values.dtype.kind not in "buif":
        raise _no_numbers(f"values of type {values.dtype}", name)
    with np.errstate(over="ignore"):
        numbers = values.reshape(shape).astype(np.float32)  # a copy: the program keeps its own
    return RawImage(name, numbers, Grid(shape=shape, affine=checked_affine(affine, name)))


def _array(held: Any, name: str) -> NDArray[Any]:
    """Return an array or a tensor of any device as NumPy array."""
    if hasattr(held, "detach"):  # a torch tensor; NumPy has no bfloat16
        held = held.detach().cpu()
        held = held.float() if held.is_floating_point() else held
        held = held.numpy()
    if not hasattr(held, "__array__"):
        raise _unknown(held, name)
    return np.asarray(held)


def _affine(held: Any, name: str) -> Affine:
    try:
        numbers = np.asarray(held.detach().cpu() if hasattr(held, "detach") else held)
        matrix: Affine = numbers.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise _no_affine(type(held).__name__, name) from error
    if matrix.shape != (4, 4):
        raise _no_affine(" x ".join(map(str, matrix.shape)) or "one number", name)
    return matrix


def _no_affine(got: str, name: str) -> UnreadableScan:
    return UnreadableScan(
        name,
        expected="a pair (array, affine) whose affine has 4 x 4 numbers",
        got=got,
        next_step="give the 4 x 4 matrix from voxel index to RAS+ millimetres",
    )


def _no_numbers(got: str, name: str) -> WrongShape:
    return WrongShape(
        name,
        expected="one number per voxel",
        got=got,
        next_step="give the scan itself, not a coloured overlay or a complex image",
    )


def _unknown(source: object, name: str) -> UnreadableScan:
    kind = f"{type(source).__module__}.{type(source).__qualname__}".removeprefix("builtins.")
    shape = getattr(source, "shape", None)
    held = f" of shape {tuple(shape)}, which does not say where its voxels lie" if shape else ""
    return UnreadableScan(
        name,
        expected=EXPECTED,
        got=f"{kind}{held}",
        next_step="give (array, affine), with the 4 x 4 affine from voxel index to RAS+ mm",
    )
