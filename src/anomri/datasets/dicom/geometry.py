"""Whether the images of a series make one volume: where they lie, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from anomri.datasets.dicom.images import Image, Place

GAP = 1.5  # times the usual distance: a slice is missing between two
UNEVEN = 0.05  # of the usual distance; positions are often rounded to hundredths of a millimetre
UNEVEN_MM = 0.1
SAME_MM = 0.04  # thinner slices do not exist; positions that differ by less are rounded ones
SAME_PLANE = 0.02  # difference of direction cosines
HOW_IT_LIES = (
    "left and right, front and back would be a guess; export the series again with its geometry, "
    "or convert it to NIfTI with a header that says how the head lies"
)


def planes_of(images: Iterable[Image]) -> list[tuple[float, ...]]:
    """Return the directions of rows and columns that occur, each once."""
    planes: list[tuple[float, ...]] = []
    for directions in {place.directions for image in images for place in image.places}:
        if not any(same_plane(directions, other) for other in planes):
            planes.append(directions)
    return planes


def same_plane(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two sets of direction cosines are the same but for rounding."""
    return float(np.abs(np.subtract(first, second)).max()) < SAME_PLANE


def heights_of(places: Sequence[Place]) -> NDArray[np.float64]:
    """Return where places lie across the first one's slice, in mm, in their order."""
    if not places:
        return np.zeros(0)
    normal = places[0].normal / np.linalg.norm(places[0].normal)
    return np.array([place.position for place in places]) @ normal


def geometry_fault(images: Sequence[Image]) -> str:
    """Say why the images are no single volume; nothing where they are."""
    silent = sum(not image.places for image in images)
    if silent:
        of = "its images do" if silent == len(images) else f"{silent} of {len(images)} images do"
        return f"{of} not say where they lie (position and orientation); {HOW_IT_LIES}"
    if len(planes_of(images)) != 1:
        return "its slices lie in several planes"
    places = [place for image in images for place in image.places]
    if len(images) == 1 and len(places) > 1 and repeated(places):
        return ""  # frames of several kinds: the converter tells them apart
    return spacing_fault(heights_of(places))


def repeated(places: Sequence[Place]) -> int:
    """Return how many images lie where another one lies already."""
    return len(places) - len(_distinct(heights_of(places)))


def _distinct(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sorted heights, those that differ by rounding alone once."""
    ordered = np.sort(heights)
    return ordered[np.diff(ordered, prepend=-np.inf) > SAME_MM]


def spacing_fault(heights: NDArray[np.float64]) -> str:
    """Say what is wrong with the distances of slices.

    Args:
        heights: (slices,) mm along their normal, in any order.
    """
    places = _distinct(heights)
    if len(places) < len(heights):
        return _several_volumes(len(heights), len(places))
    steps = np.diff(places)
    if len(steps) < 2:
        return ""
    usual = float(np.median(steps))
    gaps = np.flatnonzero(steps > GAP * usual)
    if len(gaps):
        told = f"{steps[gaps[0]]:.3g} mm in place of {usual:.3g} mm to the next"
        return f"a slice is missing after slice {gaps[0] + 1} ({told}); copy the series again"
    uneven = np.flatnonzero(np.abs(steps - usual) > max(UNEVEN * usual, UNEVEN_MM))
    if len(uneven):
        told = f"{steps[uneven[0]]:.3g} mm after slice {uneven[0] + 1}, {usual:.3g} mm elsewhere"
        return f"its slices are not evenly spaced: {told}; export it with even distances"
    return ""


def _several_volumes(images: int, places: int) -> str:
    if images % places:
        extra = images - places
        return (
            f"{extra} of {images} images lie where another one lies, with other pixels; remove "
            "those that do not belong to it"
        )
    return (
        f"{images // places} images at each place: several volumes in one series; export them as "
        "series of their own"
    )
