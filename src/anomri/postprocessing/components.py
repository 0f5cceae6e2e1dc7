"""Connected components: listing and numbering lesions, removing small ones.

Voxels that share a face, an edge or a corner are connected (26-connectivity).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.long_axis import long_axis_mm
from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Count, Share, Size
from anomri.scan import AnomalyMap, Finding, Grid, Mask, Volume

TOUCHING = np.ones((3, 3, 3), dtype=bool)
# The same within each axial slice; neighbouring slices are not connected.
TOUCHING_IN_SLICE = np.zeros((3, 3, 3), dtype=bool)
TOUCHING_IN_SLICE[:, :, 1] = True


class Components:
    """The connected components of a mask, numbered from 1; 0 is everything else.

    Attributes:
        box: bounding box of all components.
        labels: (i, j, k) component numbers inside ``box``.
        count: number of components.

    Args:
        mask: (I, J, K).
        touching: (3, 3, 3) structuring element of the connectivity.
    """

    def __init__(self, mask: Mask, touching: Mask = TOUCHING) -> None:
        self.box = crop_around(mask)
        self._shape = mask.shape
        self.labels, self.count = ndimage.label(mask[self.box], structure=touching)

    def sums(self, amounts: Volume | Mask) -> NDArray[np.float64]:
        """Sum ``amounts`` (I, J, K) over each component; entry 0 is the background."""
        inside = amounts[self.box].ravel().astype(np.float64)
        sums = np.bincount(self.labels.ravel(), inside, self.count + 1)
        return sums.astype(np.float64, copy=False)

    def sizes(self) -> NDArray[np.intp]:
        """Count the voxels of each component; entry 0, the background, is 0."""
        sizes = np.bincount(self.labels.ravel(), minlength=self.count + 1)
        sizes[0] = 0
        return sizes

    def peaks(self, anomaly: AnomalyMap) -> NDArray[np.float32]:
        """Return the maximum of the map in each component, without the background."""
        numbers, inside = np.arange(1, self.count + 1), self.labels > 0
        values = anomaly.highest[self.box][inside]
        return np.asarray(ndimage.maximum(values, self.labels[inside], numbers))

    def order(self, peaks: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the component indices (from 0) sorted by descending size, then by peak."""
        return np.lexsort((-peaks, -self.sizes()[1:]))

    def overlapping_sizes(self, mask: Mask) -> NDArray[np.intp]:
        """Return the total size of the components of ``mask`` that each component overlaps.

        A component of ``mask`` counts in full for every component that it overlaps.

        Args:
            mask: (I, J, K).

        Returns:
            (count + 1,) voxels; entry 0 is 0.
        """
        candidates = Components(mask)
        whole = np.zeros(self._shape, dtype=np.int32)
        whole[candidates.box] = candidates.labels
        candidate_labels = whole[self.box]
        both = (self.labels > 0) & (candidate_labels > 0)
        # One number for each pair is sorted much faster than pairs are.
        pairs = np.unique(self.labels[both].astype(np.intp) * whole.size + candidate_labels[both])
        own, candidate = np.divmod(pairs, whole.size)
        counts = np.zeros(self.count + 1, dtype=np.intp)
        np.add.at(counts, own, candidates.sizes()[candidate])
        return counts

    def select(self, selected: NDArray[np.bool_]) -> Mask:
        """Return the mask of the components for which ``selected`` (count + 1) is true."""
        selected = selected.copy()
        selected[0] = False
        mask = np.zeros(self._shape, dtype=bool)
        mask[self.box] = selected[self.labels]
        return mask

    def holding(self, core: Mask) -> Mask:
        """Return the mask of the components that hold a voxel of ``core`` (I, J, K)."""
        return self.select(self.sums(core) > 0)


def remove_small(state: SegmentationState, *, ml: Size) -> SegmentationState:
    """Remove the components smaller than ``ml``."""
    components = Components(state.lesion)
    large_enough = components.sizes() >= state.voxels_in(ml)
    return state.with_mask(components.select(large_enough))


def largest(state: SegmentationState, *, keep: Count = 1) -> SegmentationState:
    """Keep the ``keep`` largest components, and any of the same size as the last of these."""
    components = Components(state.lesion)
    if components.count <= keep:
        return state
    sizes = components.sizes()
    return state.with_mask(components.select(sizes >= np.sort(sizes)[-keep]))


def keep_large(state: SegmentationState, *, share: Share = 0.6) -> SegmentationState:
    """Keep 2-D components of at least ``share`` times the largest in their axial slice.

    Slices are treated independently (Paolini et al., "Postprocessing").
    """
    components = Components(state.lesion, TOUCHING_IN_SLICE)
    sizes = components.sizes()
    largest_in_slice = sizes[components.labels].max(axis=(0, 1), initial=0)
    labels, first = np.unique(components.labels, return_index=True)
    min_sizes = np.zeros(sizes.size)
    min_sizes[labels] = share * largest_in_slice[first % max(largest_in_slice.size, 1)]
    return state.with_mask(components.select(sizes >= min_sizes))


def findings(mask: Mask, anomaly: AnomalyMap, nearby: Sequence[Mask] = ()) -> tuple[Finding, ...]:
    """List the connected lesions of ``mask``, largest first.

    Args:
        mask: (I, J, K) on the grid of ``anomaly``.
        anomaly: map from which each lesion's peak is read.
        nearby: masks (I, J, K) at nearby thresholds, which give each lesion its volume range.
    """
    components = Components(mask)
    if not components.count:
        return ()
    numbers = np.arange(1, components.count + 1)
    sizes = components.sizes()[1:]
    ranges = _ranges_ml(components, nearby, anomaly.scan.grid.voxel_ml)
    peaks = components.peaks(anomaly)
    corner = [side.start for side in components.box]
    axes = _long_axes_mm(components, anomaly.scan.grid)
    centres = ndimage.center_of_mass(components.labels > 0, components.labels, numbers)
    world = anomaly.scan.grid.to_world(np.asarray(centres, dtype=np.float64) + corner)
    return tuple(
        Finding(
            number=number,
            volume_ml=float(sizes[index] * anomaly.scan.grid.voxel_ml),
            centre_mm=(float(world[index, 0]), float(world[index, 1]), float(world[index, 2])),
            peak=float(peaks[index]),
            range_ml=ranges[index] if ranges else None,
            long_axis_mm=axes[index],
        )
        for number, index in enumerate(components.order(peaks), start=1)
    )


def number_lesions(mask: Mask, anomaly: AnomalyMap) -> NDArray[np.int32]:
    """Label each lesion's voxels with its number in :func:`findings`.

    Args:
        mask: (I, J, K) on the grid of ``anomaly``.
        anomaly: as for :func:`findings`.

    Returns:
        (I, J, K) numbers from 1; 0 is background.
    """
    components = Components(mask)
    number_of = np.zeros(components.count + 1, dtype=np.int32)
    if components.count:
        order = components.order(components.peaks(anomaly))
        number_of[order + 1] = np.arange(1, components.count + 1)
    numbers = np.zeros(mask.shape, dtype=np.int32)
    numbers[components.box] = number_of[components.labels]
    return numbers


def _long_axes_mm(components: Components, grid: Grid) -> list[float]:
    """Return the long axis of each component."""
    boxes = enumerate(ndimage.find_objects(components.labels), start=1)
    parts = (np.argwhere(components.labels[box] == number) for number, box in boxes)
    return [long_axis_mm(part, grid) for part in parts]


def _ranges_ml(
    components: Components, nearby: Sequence[Mask], voxel_ml: float
) -> list[tuple[float, float]]:
    """Return each component's smallest and largest volume over its own and the nearby masks."""
    if not nearby:
        return []
    counts = [components.sizes(), *(components.overlapping_sizes(mask) for mask in nearby)]
    ml = np.stack(counts)[:, 1:] * voxel_ml
    return [(float(low), float(high)) for low, high in zip(ml.min(0), ml.max(0), strict=True)]
