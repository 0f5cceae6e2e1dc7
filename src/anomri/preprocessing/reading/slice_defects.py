"""Slices that do not belong to their scan: blank, constant, dark, bright, of another image.

Lost packets, interleaves without signal and phase images among magnitude leave single slices that
their neighbours on both sides contradict. Along each axis of the file a slice is compared with the
mean m of its nearest good neighbours a and b, where both show the head:

* its values are all but the same, standard deviation below 1 % of the scan's scale, and those of
  m are others;
* its distance from m, relative to that between a and b, mean |v - m| / mean |a - b|, is above 1.6;
* its mean brightness is below 0.6 or above 1.7 of that of m.

The worst one is set aside, then its neighbours are compared again. Measured on 137 real scans
(1-8 mm slices, stripped and whole heads, FLAIR, T1, T1CE and T2): a relative distance of at most
1.24 and a brightness between 0.78 and 1.31, so that none of them is accused. Asking the second
neighbours too would show two phase images in a row, but accuses 5 of the 137. Slices at the ends
have one neighbour only and are not looked at.

A defective slice is interpolated from its neighbours, so that the brain on both sides of it is
looked at; notes name it. A slice that repeats the one before it is named and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from anomri.errors import QualityRefused
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.scan import Mask, Note, NoteKind, Volume

FLAT = 0.01  # standard deviation, of the scan's scale
SMOOTH = 0.05  # of the scale: neighbours are taken to be as far apart, where they are nearly equal
FAR = 1.6  # distance from the neighbours' mean, relative to the neighbours' own
BRIGHTNESS = (0.6, 1.7)  # relative to the neighbours
SHOWN = 0.1  # of the scale above the background: what is brighter is head
OVERLAP = 0.2  # of the largest slice of the head: both neighbours show so much of it
MAX_SHARE = 0.1  # of the slices: more are no single defects
MAX_GAP_MM = 20.0  # between good neighbours: beyond it interpolation is invention
LOOKED_AT = 80  # voxels along the shorter side of a slice that are enough to judge it

Slices = NDArray[np.float32]  # (K, N), K slices of N voxels


@dataclass(slots=True)
class _Axis:
    """The slices along one axis, a part of their voxels.

    Attributes:
        values: (K, N), above the background or the lowest that is shown.
        shown: (K, N) bool, where the head is.
        scale: the scan's.
        bad: slices that were set aside.
    """

    values: Slices
    shown: Mask
    scale: float
    bad: set[int] = field(default_factory=set)
    enough: float = field(init=False)
    filled: list[bool] = field(init=False)

    def __post_init__(self) -> None:
        area = self.shown.sum(axis=1)
        self.enough = OVERLAP * int(area.max())
        self.filled = list(area >= 0.01 * area.max())

    def neighbours(self, k: int) -> tuple[int, int] | None:
        """Return the nearest good slices on both sides."""
        good = [n for n, filled in enumerate(self.filled) if filled and n not in self.bad]
        before, after = [n for n in good if n < k], [n for n in good if n > k]
        return (before[-1], after[0]) if before and after else None

    def score(self, k: int) -> float:
        """Return how far a slice is from what its neighbours let expect; 0 where it fits."""
        pair = self.neighbours(k)
        if pair is None:
            return 0.0
        both = self.shown[pair[0]] & self.shown[pair[1]]
        if np.count_nonzero(both) < self.enough:
            return 0.0
        a, v, b = (self.values[n][both] for n in (pair[0], k, pair[1]))
        mean = (a + b) / 2
        distance = float(np.abs(v - mean).mean())
        if v.std(dtype=np.float64) < FLAT * self.scale and distance > 2 * SMOOTH * self.scale:
            return float("inf")
        far = distance / max(float(np.abs(a - b).mean()), SMOOTH * self.scale)
        bright = float(v.mean() / max(float(mean.mean()), 1e-6 * self.scale))
        low, high = BRIGHTNESS
        return far if far > FAR or not low <= bright <= high else 0.0

    def find(self, most: int) -> list[int]:
        """Return defective slices, the worst first; at most ``most`` + 1 of them."""
        count = len(self.values)
        scores = [self.score(k) for k in range(count)]
        while max(scores) > 0 and len(self.bad) <= most:
            worst = int(np.argmax(scores))
            self.bad.add(worst)
            scores[worst] = 0.0
            for k in self.neighbours(worst) or ():
                scores[k] = self.score(k)
        return sorted(self.bad)

    def repeated(self) -> list[int]:
        """Return slices of the head that are equal to the one before them."""
        area = self.shown.sum(axis=1)
        return [
            k
            for k in range(1, len(self.values))
            if area[k] >= max(self.enough, 1) and np.array_equal(self.values[k], self.values[k - 1])
        ]


def without_defects(native: RawImage) -> RawImage:
    """Return an image whose defective slices are interpolated, with notes that name them.

    Raises:
        QualityRefused: more than a tenth of the slices are defective, or neighbours that could
            stand in for them are too far apart.
    """
    values, notes = native.values, list(native.notes)
    for axis in range(3):
        looked = _axis(native.values, axis)
        most = max(1, int(MAX_SHARE * sum(looked.filled)))
        bad = looked.find(most)
        if bad:
            _refuse_many(native, axis, looked, most)
            values = _interpolated(values, axis, looked)
            text = (
                f"{native.name}: {_named(bad, axis)} replaced by interpolation, "
                "because the slices on both sides contradict: do not trust what is marked there"
            )
            notes.append(Note(NoteKind.INTENSITIES, text))
        elif 0 < len(repeated := looked.repeated()) <= most:
            text = f"{native.name}: {_named(repeated, axis)}: the same as the slice before"
            notes.append(Note(NoteKind.INTENSITIES, text))
    return replace(native, values=values, notes=tuple(notes))


def _axis(values: Volume, axis: int) -> _Axis:
    level, reach, (low, high) = _ranges(values)
    slices = np.moveaxis(values, axis, 0)
    step = max(1, min(slices.shape[1:]) // LOOKED_AT)
    part = slices[:, ::step, ::step].reshape(len(slices), -1)
    shown = np.abs(part - level) > SHOWN * reach
    scale = max(high - low, 1e-6 * reach)
    # Holes in the brain may hold a background of -32768; they must not outweigh everything else.
    bottom = max(float(level), low - scale) if level < low else low
    return _Axis(part.clip(bottom, high + scale) - np.float32(bottom), shown, scale)


def _ranges(values: Volume) -> tuple[np.float32, float, tuple[float, float]]:
    """Return the background's level, how far the rest reaches from it, and the rest's own range.

    The background may lie far from all that is shown, such as at -32768.
    """
    faces = [np.moveaxis(values, axis, 0)[[0, -1]].ravel() for axis in range(3)]
    level = np.float32(np.median(np.concatenate(faces)))
    some = values[::2, ::2, ::2]
    there = some[some != level]
    if not there.size:
        return level, 1.0, (0.0, 1.0)
    low, high = (float(value) for value in np.percentile(there, [1, 99]))
    return level, float(np.percentile(np.abs(there - level), 99)), (low, high)


def _refuse_many(native: RawImage, axis: int, looked: _Axis, most: int) -> None:
    bad = sorted(looked.bad)
    gaps = [b - a for a, b in filter(None, map(looked.neighbours, bad))]
    gap_mm = max(gaps) * native.grid.spacing[axis] if native.spacing_known else 0.0
    if len(bad) <= most and gap_mm <= MAX_GAP_MM:
        return
    raise QualityRefused(
        native.name,
        expected="slices that fit together",
        got=f"{_named(bad, axis)}{' and more' if len(bad) > most else ''}: their "
        "neighbours contradict (blank, dark, or of another image)",
        next_step="look at these slices, and export or reconstruct the series again",
    )


def _interpolated(values: Volume, axis: int, looked: _Axis) -> Volume:
    """Return the volume with its defective slices made from their neighbours, linearly."""
    result = values.copy()
    slices = np.moveaxis(result, axis, 0)
    for k in looked.bad:
        pair = looked.neighbours(k)
        if pair is not None:
            a, b = pair
            share = np.float32((k - a) / (b - a))
            slices[k] = slices[a] * (1 - share) + slices[b] * share
    return result


def _named(slices: Sequence[int], axis: int) -> str:
    """Name slices by their index along an axis of the file.

    >>> _named([3, 4, 5, 9], 2)
    'slices 3-5, 9 (of axis K, counted from 0)'
    """
    runs: list[list[int]] = []
    for k in slices:
        if runs and runs[-1][-1] == k - 1:
            runs[-1].append(k)
        else:
            runs.append([k])
    words = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    many = "slices" if len(slices) > 1 else "slice"
    return f"{many} {', '.join(words)} (of axis {'IJK'[axis]}, counted from 0)"
