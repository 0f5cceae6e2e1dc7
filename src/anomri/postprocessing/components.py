"""Connected lesions: to name them, and to drop the small ones.

Voxels that touch by a face, an edge or a corner belong together (26 neighbours).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Count, Share, Size
from anomri.scan import AnomalyMap, Finding, Mask, Volume

TOUCHING = np.ones((3, 3, 3), dtype=bool)
# The same within the axial slice, where every slice is an image of its own.
TOUCHING_IN_SLICE = np.zeros((3, 3, 3), dtype=bool)
TOUCHING_IN_SLICE[:, :, 1] = True


class Components:
    """The connected components of a mask, numbered from 1; 0 is everything else.

    Attributes:
        box: the part of the array that holds them all.
        labels: (i, j, k) numbers inside ``box``.
        count: how many there are.

    Args:
        mask: (I, J, K).
        touching: (3, 3, 3), which neighbours belong together.
    """

    def __init__(self, mask: Mask, touching: Mask = TOUCHING) -> None:
        self.box = crop_around(mask)
        self._shape = mask.shape
        self.labels, self.count = ndimage.label(mask[self.box], structure=touching)

    def sums(self, amounts: Volume | Mask) -> NDArray[np.float64]:
        """Add up ``amounts`` (I, J, K) per component; entry 0 is the background's."""
        inside = amounts[self.box].ravel().astype(np.float64)
        sums = np.bincount(self.labels.ravel(), inside, self.count + 1)
        return sums.astype(np.float64, copy=False)

    def sizes(self) -> NDArray[np.intp]:
        """Count the voxels of each component; entry 0 is 0, the background is nobody's."""
        sizes = np.bincount(self.labels.ravel(), minlength=self.count + 1)
        sizes[0] = 0
        return sizes

    def peaks(self, anomaly: AnomalyMap) -> NDArray[np.float32]:
        """Return the highest value of the map in each component, without the background."""
        numbers = np.arange(1, self.count + 1)
        return np.asarray(ndimage.maximum(anomaly.highest[self.box], self.labels, numbers))

    def order(self, peaks: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return which component (from 0) is the first, second, ...: by size, then by peak."""
        return np.lexsort((-peaks, -self.sizes()[1:]))

    def touched(self, other: Mask) -> NDArray[np.intp]:
        """Count the voxels of what each component overlaps in another mask (I, J, K).

        A piece of the other mask counts whole, for every component that it overlaps.
        """
        there = Components(other)
        theirs = np.zeros(self._shape, dtype=np.int32)
        theirs[there.box] = there.labels
        near = theirs[self.box]
        both = (self.labels > 0) & (near > 0)
        ours, pieces = np.unique([self.labels[both], near[both]], axis=1)
        counts = np.zeros(self.count + 1, dtype=np.intp)
        np.add.at(counts, ours, there.sizes()[pieces])
        return counts

    def only(self, wanted: NDArray[np.bool_]) -> Mask:
        """Return the mask of the components that ``wanted`` (count + 1) marks."""
        wanted = wanted.copy()
        wanted[0] = False
        mask = np.zeros(self._shape, dtype=bool)
        mask[self.box] = wanted[self.labels]
        return mask


def remove_small(state: SegmentationState, *, ml: Size) -> SegmentationState:
    """Drop the components that are smaller than ``ml``."""
    components = Components(state.lesion)
    big_enough = components.sizes() >= state.voxels_in(ml)
    return state.with_mask(components.only(big_enough))


def largest(state: SegmentationState, *, keep: Count = 1) -> SegmentationState:
    """Keep the ``keep`` largest components, and any as large as the last of them."""
    components = Components(state.lesion)
    if components.count <= keep:
        return state
    sizes = components.sizes()
    return state.with_mask(components.only(sizes >= np.sort(sizes)[-keep]))


def keep_large(state: SegmentationState, *, share: Share = 0.6) -> SegmentationState:
    """Keep what is at least ``share`` times as large as the largest of its axial slice.

    Each slice is an image of its own (Paolini et al., "Postprocessing").
    """
    components = Components(state.lesion, TOUCHING_IN_SLICE)
    sizes = components.sizes()
    largest_of_slice = sizes[components.labels].max(axis=(0, 1), initial=0)
    found, first = np.unique(components.labels, return_index=True)
    needed = np.zeros(sizes.size)
    needed[found] = share * largest_of_slice[first % max(largest_of_slice.size, 1)]
    return state.with_mask(components.only(sizes >= needed))


def findings(mask: Mask, anomaly: AnomalyMap, nearby: Sequence[Mask] = ()) -> tuple[Finding, ...]:
    """List the connected lesions of ``mask``, largest first.

    Args:
        mask: (I, J, K) on the grid of ``anomaly``.
        anomaly: gives each lesion its peak.
        nearby: (I, J, K) each, the masks of other thresholds, which give each lesion its range.
    """
    components = Components(mask)
    if not components.count:
        return ()
    numbers = np.arange(1, components.count + 1)
    sizes = components.sizes()[1:]
    ranges = _ranges_ml(components, nearby, anomaly.scan.grid.voxel_ml)
    peaks = components.peaks(anomaly)
    corner = [side.start for side in components.box]
    centres = ndimage.center_of_mass(components.labels > 0, components.labels, numbers)
    world = anomaly.scan.grid.to_world(np.asarray(centres, dtype=np.float64) + corner)
    return tuple(
        Finding(
            number=place,
            volume_ml=float(sizes[which] * anomaly.scan.grid.voxel_ml),
            centre_mm=(float(world[which, 0]), float(world[which, 1]), float(world[which, 2])),
            peak=float(peaks[which]),
            range_ml=ranges[which] if ranges else None,
        )
        for place, which in enumerate(components.order(peaks), start=1)
    )


def numbered(mask: Mask, anomaly: AnomalyMap) -> NDArray[np.int32]:
    """Return (I, J, K) the number that :func:`findings` gives each voxel's lesion; 0 elsewhere.

    Args:
        mask: (I, J, K) on the grid of ``anomaly``.
        anomaly: as for :func:`findings`.
    """
    components = Components(mask)
    places = np.zeros(components.count + 1, dtype=np.int32)
    if components.count:
        order = components.order(components.peaks(anomaly))
        places[order + 1] = np.arange(1, components.count + 1)
    numbers = np.zeros(mask.shape, dtype=np.int32)
    numbers[components.box] = places[components.labels]
    return numbers


def _ranges_ml(
    components: Components, nearby: Sequence[Mask], voxel_ml: float
) -> list[tuple[float, float]]:
    """Return the least and the most that each component has in its own and the nearby masks."""
    if not nearby:
        return []
    counts = [components.sizes(), *(components.touched(mask) for mask in nearby)]
    ml = np.stack(counts)[:, 1:] * voxel_ml
    return [(float(low), float(high)) for low, high in zip(ml.min(0), ml.max(0), strict=True)]
