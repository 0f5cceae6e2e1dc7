"""Labels of the nearest labelled voxels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, product
from math import hypot
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from anomri.scan import Mask

Label = TypeVar("Label", np.uint8, np.uint16, np.int32)
Voxels = NDArray[np.intp]
Spacing = tuple[float, float, float]

DIGITS = 6  # of mm: distances that agree in these are equal


def nearest_labels(labels: NDArray[Label], wanted: Mask, spacing: Spacing) -> NDArray[Label]:
    """Return labels that also reach the voxels of ``wanted``, each from the nearest labelled one.

    Most have it among their neighbours. Only for the others, and where different labels are equally
    near, is a tree of all labelled voxels built.

    Args:
        labels: (I, J, K), 0 where there is none.
        wanted: (I, J, K), voxels that get a label if there is any.
        spacing: voxel sides in mm.
    """
    missing = np.argwhere(wanted & (labels == 0))
    found = _of_neighbours(labels, missing, spacing)
    far = found == 0
    if far.any() and labels.any():
        labelled = np.argwhere(labels)
        _, nearest = KDTree(labelled * spacing).query(missing[far] * spacing)
        found[far] = labels[tuple(labelled[nearest].T)]
    result = labels.copy(order="K")
    result[tuple(missing.T)] = found
    return result


def _of_neighbours(labels: NDArray[Label], voxels: Voxels, spacing: Spacing) -> NDArray[Label]:
    """Return the label of the nearest neighbour of each voxel (N, 3).

    0: no neighbour that is nearer than all other voxels has one, or the nearest ones differ.
    """
    padded = np.zeros([side + 2 for side in labels.shape], labels.dtype)
    padded[1:-1, 1:-1, 1:-1] = labels
    place = np.ravel_multi_index(tuple((voxels + 1).T), padded.shape)
    found, rest = np.zeros(len(voxels), labels.dtype), np.arange(len(voxels))
    for offsets in _equally_near(spacing):
        steps = offsets @ (np.array(padded.strides) // padded.itemsize)
        near = padded.ravel()[place[rest, None] + steps]
        highest = near.max(axis=1)
        agree = ((near == 0) | (near == highest[:, None])).all(axis=1)
        found[rest] = np.where(agree, highest, 0)
        rest = rest[highest == 0]
    return found


def _equally_near(spacing: Spacing) -> Iterator[Voxels]:
    """Yield the offsets (N, 3) of neighbours, in groups from the nearest outwards."""

    def distance(offset: tuple[int, ...]) -> float:
        steps = (step * side for step, side in zip(offset, spacing, strict=True))
        return round(hypot(*steps), DIGITS)

    neighbours = sorted(product((-1, 0, 1), repeat=3), key=distance)[1:]
    for apart, group in groupby(neighbours, distance):
        if apart < round(2 * min(spacing), DIGITS):  # as near as that are neighbours only
            yield np.array(list(group))
