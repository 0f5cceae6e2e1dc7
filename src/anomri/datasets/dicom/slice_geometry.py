"""Slice positions and orientations: whether the images of a series form a volume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from anomri.datasets.dicom.images import Image, Place
from anomri.datasets.shown_names import shown_names

MIN_GAP = 1.5  # times the usual distance: a slice is missing
MAX_UNEVEN = 0.05  # of the usual distance; positions are often rounded to 0.01 mm
MAX_UNEVEN_MM = 0.1
SAME_POSITION_MM = 0.04  # no slices are thinner; smaller differences are due to rounding
SAME_PLANE = 0.02  # difference of direction cosines
NO_ORIENTATION = (
    "the orientation of the head is unknown; export the series again with its geometry, "
    "or convert it to NIfTI with the orientation in its header"
)


def planes_of(images: Iterable[Image]) -> list[tuple[float, ...]]:
    """Return the distinct orientations, as directions of rows and columns."""
    planes: list[tuple[float, ...]] = []
    for directions in {place.directions for image in images for place in image.places}:
        if not any(same_plane(directions, plane) for plane in planes):
            planes.append(directions)
    return planes


def same_plane(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two sets of direction cosines are equal up to rounding."""
    return float(np.abs(np.subtract(first, second)).max()) < SAME_PLANE


def heights_of(places: Sequence[Place]) -> NDArray[np.float64]:
    """Return positions along the normal of the first slice, in mm."""
    if not places:
        return np.zeros(0)
    normal = places[0].normal / np.linalg.norm(places[0].normal)
    return np.array([place.position for place in places]) @ normal


def geometry_fault(images: Sequence[Image]) -> str:
    """Return why the images do not form a single volume; empty if they do."""
    if unplaced := [image.path.name for image in images if not image.places]:
        some = f"{len(unplaced)} of {len(images)} images ({shown_names(unplaced)})"
        which = "its images" if len(unplaced) == len(images) else some
        return f"{which} have no position and orientation; {NO_ORIENTATION}"
    if len(planes_of(images)) != 1:
        return "its slices lie in several planes"
    places = [place for image in images for place in image.places]
    if len(images) == 1 and len(places) > 1 and repeated(places):
        return ""  # frames of several kinds, which the converter separates
    names = [image.path.name for image in images for _ in image.places]
    return spacing_fault(heights_of(places), names)


def repeated(places: Sequence[Place]) -> int:
    """Return how many images have the position of another one."""
    return len(places) - len(_distinct(heights_of(places)))


def _distinct(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sorted positions, without those that differ by rounding only."""
    ordered = np.sort(heights)
    return ordered[np.diff(ordered, prepend=-np.inf) > SAME_POSITION_MM]


def spacing_fault(heights: NDArray[np.float64], names: Sequence[str] = ()) -> str:
    """Return what is wrong with the slice distances; empty if they are even.

    Args:
        heights: (slices,) positions in mm along the normal, in any order.
        names: of the files of the slices, for the message.
    """
    places = _distinct(heights)
    if len(places) < len(heights):
        return _several_volumes(len(heights), len(places), _at_same_place(heights, names))
    steps = np.diff(places)
    if len(steps) < 2:
        return ""
    usual = float(np.median(steps))
    gaps = np.flatnonzero(steps > MIN_GAP * usual)
    if len(gaps):
        distances = f"{steps[gaps[0]]:.3g} mm instead of {usual:.3g} mm to the next"
        return f"a slice is missing after slice {gaps[0] + 1} ({distances}); copy the series again"
    uneven = np.flatnonzero(np.abs(steps - usual) > max(MAX_UNEVEN * usual, MAX_UNEVEN_MM))
    if len(uneven):
        number = uneven[0] + 1
        distances = f"{steps[uneven[0]]:.3g} mm after slice {number}, {usual:.3g} mm elsewhere"
        return f"its slices are not evenly spaced: {distances}; export it with even distances"
    return ""


def _at_same_place(heights: NDArray[np.float64], names: Sequence[str]) -> list[str]:
    """Return the names of slices that share their position with another one."""
    apart = np.abs(heights[:, None] - heights[: len(names)])
    shared = (apart <= SAME_POSITION_MM).sum(axis=0) > 1
    return [name for name, same in zip(names, shared, strict=False) if same]


def _several_volumes(images: int, places: int, names: Sequence[str]) -> str:
    if images % places:
        extra = images - places
        which = f" ({shown_names(sorted(names))})" if names else ""
        return (
            f"{extra} of {images} images have the position of another one, with other pixels"
            f"{which}; remove those that do not belong to the series"
        )
    return (
        f"{images // places} images at each place: several volumes in one series; export them as "
        "separate series"
    )
