"""Defective slices: blank, constant, dark, bright, or of another image.

Lost packets, interleaves without signal and phase images among magnitude images leave single
slices that contradict their neighbours on both sides. Along each axis of the file a slice v is
compared with the mean m of its nearest good neighbours a and b, where both show the head. It is
defective if

* it is nearly constant (standard deviation below 1 % of the scan's scale) where m is not;
* its distance from m relative to that between a and b, mean |v - m| / mean |a - b|, is above 1.6;
* its mean brightness relative to that of m is below 0.6 or above 1.7.

The worst slice is removed, then its neighbours are compared again. In 137 real scans (slices of
1-8 mm, stripped and whole heads, FLAIR, T1, T1CE and T2) the relative distance is 1.24 at most and
the relative brightness 0.78 to 1.31, so that no slice of them counts as defective. Comparing with
the second neighbours too would find two phase images in a row, but accuses 5 of the 137. Slices at
the ends have one neighbour only and are not checked.

A defective slice is interpolated from its neighbours, so that the brain on both sides of it is
still analysed, and noted. A slice that repeats the previous one is noted and kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from anomri.errors import QualityRefused
from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.percentiles import percentiles
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.scan import Mask, Note, NoteKind, Volume

CONSTANT_SD = 0.01  # of the scan's scale
MIN_DISTANCE = 0.05  # of the scale, assumed between neighbours that are nearly equal
MAX_RELATIVE_DISTANCE = 1.6  # from the neighbours' mean, relative to that between the neighbours
BRIGHTNESS = (0.6, 1.7)  # relative to the neighbours
FOREGROUND = 0.1  # of the foreground's range above the background
MIN_OVERLAP = 0.2  # of the head's largest slice, shown by both neighbours
MAX_FRACTION = 0.1  # of the slices; more are not single defects
MAX_GAP_MM = 20.0  # between good neighbours; interpolation across more would be guesswork
SAMPLES = 80  # voxels along the shorter side of a slice that suffice to compare it

MARGIN = 0.95  # of the limits, within which sums over all slices at once clear a slice
PROBED = 8  # every eighth row and column tells most slices from the one before
BLOCK_BYTES = 1 << 18  # of the values in each step of these sums, so that they stay in the cache


@dataclass(slots=True)
class _SliceStack:
    """The slices along one axis, with some of their voxels.

    Attributes:
        whole: (K, N, M), slices to their edges, as read.
        start: of the values' first slice in ``whole``.
        values: (L, N, M), in the head's box, above the background or the lowest value of the head,
            in units of the scan's range of intensities: sums of values of 1e36 would overflow.
        head: (L, N, M) bool, voxels of the head.
        limits: the lowest and the highest value that count; others are clipped to them.
        bad: defective slices.
        min_overlap: voxels of the head that two neighbours must share.
        good: slices that show any head and are not defective, in order.
        slices_of_head: how many slices show any head.
    """

    whole: Volume
    start: int
    values: Volume
    head: Mask
    limits: tuple[float, float]
    bad: set[int] = field(default_factory=set)
    min_overlap: float = field(init=False)
    good: list[int] = field(init=False)
    slices_of_head: int = field(init=False)
    area: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        self.area = np.zeros(len(self.whole), np.intp)
        self.area[self.start :][: len(self.head)] = np.count_nonzero(self.head, axis=(1, 2))
        self.min_overlap = MIN_OVERLAP * int(self.area.max())
        self.good = np.flatnonzero(self.area >= 0.01 * self.area.max()).tolist()
        self.slices_of_head = len(self.good)

    def neighbours(self, k: int) -> tuple[int, int] | None:
        """Return the nearest good slices on both sides; None at the ends."""
        before, after = bisect_left(self.good, k) - 1, bisect_right(self.good, k)
        if before < 0 or after == len(self.good):
            return None
        return self.good[before], self.good[after]

    def score(self, k: int) -> float:
        """Return the relative distance of a slice from its neighbours; 0 where it fits."""
        pair = self.neighbours(k)
        if pair is None:
            return 0.0
        first, own, second = (n - self.start for n in (pair[0], k, pair[1]))
        both = self.head[first] & self.head[second]
        if np.count_nonzero(both) < self.min_overlap:
            return 0.0
        a, v, b = (self.values[n][both] for n in (first, own, second))
        mean = (a + b) / 2
        distance = float(np.abs(v - mean).mean())
        if distance > 2 * MIN_DISTANCE and v.std(dtype=np.float64) < CONSTANT_SD:
            return float("inf")
        relative = distance / max(float(np.abs(a - b).mean()), MIN_DISTANCE)
        brightness = float(v.mean() / max(float(mean.mean()), 1e-6))
        low, high = BRIGHTNESS
        defective = relative > MAX_RELATIVE_DISTANCE or not low <= brightness <= high
        return relative if defective else 0.0

    def find_defects(self, limit: int) -> list[int]:
        """Find defective slices, at most ``limit`` + 1, the worst first; return them sorted."""
        fits = self._clearly_fit()
        scores = [0.0 if fits[k] else self.score(k) for k in range(len(self.whole))]
        while max(scores) > 0 and len(self.bad) <= limit:
            worst = int(np.argmax(scores))
            self.bad.add(worst)
            self.good = [k for k in self.good if k != worst]
            scores[worst] = 0.0
            for k in self.neighbours(worst) or ():
                scores[k] = self.score(k)
        return sorted(self.bad)

    def repeated(self) -> list[int]:
        """Return slices of the head that equal the previous slice."""
        few = self.whole[:, ::PROBED, ::PROBED].clip(*self.limits)
        alike = np.flatnonzero((few[1:] == few[:-1]).all(axis=(1, 2))) + 1
        return [
            k
            for k in alike.tolist()
            if self.area[k] >= max(self.min_overlap, 1)
            and np.array_equal(*self.whole[[k - 1, k]].clip(*self.limits))
        ]

    def _clearly_fit(self) -> NDArray[np.bool_]:
        """Return which slices fit by a margin, so that :meth:`score` would be 0."""
        fits = np.zeros(len(self.whole), np.bool_)
        if len(self.values) < 3:
            return fits
        with np.errstate(all="ignore"):
            count, between, distance, own, mean = _sums_between(self.values, self.head)
            relative = distance / np.maximum(between, MIN_DISTANCE * count)
            brightness = own / np.maximum(mean, 1e-6 * count)
        low, high = BRIGHTNESS
        near = (relative < MARGIN * MAX_RELATIVE_DISTANCE) & (brightness > low / MARGIN)
        near &= (brightness < MARGIN * high) & (distance < MARGIN * 2 * MIN_DISTANCE * count)
        good = np.isin(np.arange(len(self.values)), np.array(self.good, int) - self.start)
        near &= good[:-2] & good[1:-1] & good[2:]
        fits[self.start + 1 :][: len(near)] = near
        return fits


def _sums_between(values: Volume, head: Mask) -> NDArray[np.float64]:
    """Return what :meth:`_SliceStack.score` averages, for all slices but the first and the last.

    The volume is read once, in the order of its memory: single slices of the fastest axis would
    be gathered from all over it.

    Args:
        values: (L, N, M).
        head: (L, N, M) bool.

    Returns:
        (5, L - 2) sums over the voxels of the head in both neighbours: their number, the distance
        between the neighbours, that from their mean, the slice's values and the means.
    """
    slowest = 1 + int(np.argmax(np.abs(values.strides[1:])))
    values, head = np.moveaxis(values, slowest, 1), np.moveaxis(head, slowest, 1)
    planes = max(1, BLOCK_BYTES * values.shape[1] // max(values.nbytes, 1))
    total = np.zeros((5, len(values) - 2))
    for first in range(0, values.shape[1], planes):
        block = values[:, first : first + planes]
        shown = head[:, first : first + planes].astype(np.float32)
        both, a, own, b = shown[:-2] * shown[2:], block[:-2], block[1:-1], block[2:]
        mean = (a + b) * np.float32(0.5)
        terms = (np.abs(a - b), np.abs(own - mean), own, mean)
        total[0] += both.sum(axis=(1, 2))
        total[1:] += [np.einsum("lnm,lnm->l", term, both) for term in terms]
    return total


def repair_defective_slices(image: RawImage) -> RawImage:
    """Interpolate the defective slices of an image, and note them.

    Raises:
        QualityRefused: more than a tenth of the slices are defective, or the good slices around
            them are too far apart.
    """
    values, notes = image.values, list(image.notes)
    head = _Head.of(image.values)
    for axis in range(3):
        stack = head.slices(axis)
        limit = max(1, int(MAX_FRACTION * stack.slices_of_head))
        bad = stack.find_defects(limit)
        if bad:
            _refuse_many(image, axis, stack, limit)
            values = _interpolate(values, axis, stack)
            text = (
                f"{image.name}: {_slice_names(bad, axis)} replaced by interpolation, "
                f"because {'it contradicts' if len(bad) == 1 else 'they contradict'} the slices "
                "on both sides: do not rely on the mask there"
            )
            notes.append(Note(NoteKind.INTENSITIES, text))
        elif 0 < len(repeated := stack.repeated()) <= limit:
            text = f"{image.name}: {_slice_names(repeated, axis)}: identical to the previous slice"
            notes.append(Note(NoteKind.INTENSITIES, text))
    return replace(image, values=values, notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class _Head:
    """The head in an image, cut out of it once for all three axes.

    Attributes:
        image: (I, J, K), all of it.
        box: the part that holds the head.
        mask: of the head, within the box.
        values: in the box, above the lowest limit, in units of the head's range of intensities.
        limits: the lowest and the highest value that count; others are clipped to them.
    """

    image: Volume
    box: tuple[slice, ...]
    mask: Mask
    values: Volume
    limits: tuple[float, float]

    @classmethod
    def of(cls, values: Volume) -> _Head:
        background, reach, (low, high) = _intensity_ranges(values)
        part = _box_of(values != background)  # of a stripped head; else all of the image
        head = np.abs(values[part] - background) > FOREGROUND * reach
        within = _box_of(head)
        box = tuple(
            slice(outer.start + inner.start, outer.start + inner.stop)
            for outer, inner in zip(part, within, strict=True)
        )
        scale = max(high - low, 1e-6 * reach)
        # Holes in the brain may have a background value of -32768, which must not dominate.
        bottom = max(float(background), low - scale) if background < low else low
        inside = values[box].clip(bottom, high + scale) - np.float32(bottom)
        inside /= np.float32(scale)
        return cls(values, box, head[within], inside, (bottom, high + scale))

    def slices(self, axis: int) -> _SliceStack:
        """Return the slices along an axis."""
        plane = [side for n, side in enumerate(self.image.shape) if n != axis]
        step = max(1, min(plane) // SAMPLES)
        whole = np.moveaxis(self.image, axis, 0)[:, ::step, ::step]
        rows, columns = (
            slice(-side.start % step, None, step) for n, side in enumerate(self.box) if n != axis
        )
        values = np.moveaxis(self.values, axis, 0)[:, rows, columns]
        head = np.moveaxis(self.mask, axis, 0)[:, rows, columns]
        return _SliceStack(whole, self.box[axis].start, values, head, self.limits)


def _box_of(marked: Mask) -> tuple[slice, ...]:
    """Return the box that holds all marks; the whole range of an axis without any."""
    return brain_box(marked) if marked.any() else tuple(slice(0, side) for side in marked.shape)


def _intensity_ranges(values: Volume) -> tuple[np.float32, float, tuple[float, float]]:
    """Return the ranges of the intensities; the background may be far off, such as at -32768.

    Returns:
        The background's value, the largest distance of the foreground from it (99th percentile),
        and the foreground's own range (1st to 99th percentile).
    """
    faces = [np.moveaxis(values, axis, 0)[[0, -1]].ravel() for axis in range(3)]
    background = np.float32(np.median(np.concatenate(faces)))
    subsample = values[::2, ::2, ::2]
    foreground = subsample[subsample != background]
    if not foreground.size:
        return background, 1.0, (0.0, 1.0)
    low, high = (float(value) for value in percentiles(foreground, [1, 99]))
    return background, float(np.percentile(np.abs(foreground - background), 99)), (low, high)


def _refuse_many(image: RawImage, axis: int, stack: _SliceStack, limit: int) -> None:
    bad = sorted(stack.bad)
    gaps = [b - a for a, b in filter(None, map(stack.neighbours, bad))]
    gap_mm = max(gaps) * image.grid.spacing[axis] if image.spacing_known else 0.0
    if len(bad) <= limit and gap_mm <= MAX_GAP_MM:
        return
    raise QualityRefused(
        image.name,
        expected="slices that are consistent with their neighbours",
        got=f"{_slice_names(bad, axis)}{' and more' if len(bad) > limit else ''} "
        "that contradict them (blank, dark, or of another image)",
        next_step="check these slices, and export or reconstruct the series again",
    )


def _interpolate(values: Volume, axis: int, stack: _SliceStack) -> Volume:
    """Return the volume with its defective slices interpolated linearly from their neighbours."""
    result = values.copy()
    slices = np.moveaxis(result, axis, 0)
    for k in stack.bad:
        pair = stack.neighbours(k)
        if pair is not None:
            a, b = pair
            weight = np.float32((k - a) / (b - a))
            slices[k] = slices[a] * (1 - weight) + slices[b] * weight
    return result


def _slice_names(slices: Sequence[int], axis: int) -> str:
    """Return the indices of slices along an axis of the file, as text.

    >>> _slice_names([3, 4, 5, 9], 2)
    'slices 3-5, 9 (of axis K, counted from 0)'
    """
    runs: list[list[int]] = []
    for k in slices:
        if runs and runs[-1][-1] == k - 1:
            runs[-1].append(k)
        else:
            runs.append([k])
    words = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    noun = "slices" if len(slices) > 1 else "slice"
    return f"{noun} {', '.join(words)} (of axis {'IJK'[axis]}, counted from 0)"
