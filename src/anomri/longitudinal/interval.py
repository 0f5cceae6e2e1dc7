"""Two consecutive time points: identities and changes of all lesions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from anomri.longitudinal.change import (
    DAYS_PER_YEAR,
    Brightness,
    ChangeClass,
    MeasuredVolume,
    brightness_of,
    classify,
    within_error,
)
from anomri.longitudinal.tracking import Group, group_lesions
from anomri.scan import Mask, Volume


class LesionChange(BaseModel, frozen=True):
    """Change of one lesion from one time point to the next.

    Attributes:
        identity: of the lesion, the same at all time points.
        to_point: number of the later time point, from 2.
        kind: its class.
        within_error: whether the volumes of its group differ by no more than their errors.
        before: volume at the earlier time point; None where it did not exist by itself.
        after: likewise, at the later one; None where it was joined to another one.
        number_before: its number in the earlier time point's ``findings.tsv``; None if not found.
        number_after: likewise, in the later one's.
        change_ml: of the volume of its group; None for lesions that were joined to another one or
            split off.
        ml_per_year: the same by time; None where the dates are not known.
        contrast_before: to the tissue around it where the masks differ, in robust standard
            deviations of healthy tissue, at the earlier time point.
        contrast_after: likewise, at the later one.
        related: identities of the other lesions of its group.
        centre_mm: in the halfway space.
    """

    identity: int
    to_point: int
    kind: ChangeClass
    within_error: bool
    before: MeasuredVolume | None
    after: MeasuredVolume | None
    number_before: int | None = None
    number_after: int | None = None
    change_ml: float | None = None
    ml_per_year: float | None = None
    contrast_before: float | None = None
    contrast_after: float | None = None
    related: tuple[int, ...] = ()
    centre_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Two consecutive time points in one space.

    Attributes:
        number: index of the later one, from 1.
        days: between them; None where the dates are not known.
        images: (I, J, K) of both, on one scale of brightness.
        tissue: (I, J, K) bool, brain without lesions.
        affine: (4, 4) voxel index to mm of the halfway space.
        spacing_mm: of the isotropic grid.
        first_new: identity of the first lesion that is new.
    """

    number: int
    days: int | None
    images: tuple[Volume, Volume]
    tissue: Mask
    affine: NDArray[np.float64]
    spacing_mm: float
    first_new: int

    def per_year(self, change_ml: float | None) -> float | None:
        """Return a change of volume by year; None where the days between are not known."""
        if change_ml is None or not self.days:
            return None
        return change_ml / self.days * DAYS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Lesion:
    """A lesion that was found.

    Attributes:
        number: in ``findings.tsv`` of its time point.
        volume: with its error.
    """

    number: int
    volume: MeasuredVolume


@dataclass(slots=True, kw_only=True)
class Comparison:
    """The lesions of two consecutive time points, and what became of each.

    Attributes:
        interval: the two time points.
        known: (I, J, K) identity of each lesion where it was seen last.
        present: by identity, the lesions found at the earlier time point.
        labels: (I, J, K) numbers of the later time point's lesions.
        lesions: the later time point's lesions, by number.
    """

    interval: Interval
    known: NDArray[np.int32]
    present: Mapping[int, Lesion]
    labels: NDArray[np.int32]
    lesions: Mapping[int, Lesion]

    def run(self) -> tuple[NDArray[np.int32], list[LesionChange]]:
        """Return the identity of each later lesion by its number, and all changes."""
        names = np.zeros(max([0, *self.lesions]) + 1, np.int32)
        changes: list[LesionChange] = []
        next_new = self.interval.first_new
        for group in group_lesions(self.known, self.labels, self.interval.spacing_mm):
            for before, after in group.pairs:
                names[after] = before
            for after in group.after:
                if not names[after]:
                    names[after], next_new = next_new, next_new + 1
            changes += self._of_group(group, names)
        return names, sorted(changes, key=lambda change: change.identity)

    def _of_group(self, group: Group, names: NDArray[np.int32]) -> Iterator[LesionChange]:
        before = {n: self.present[n] for n in group.before if n in self.present}
        after = {int(names[n]): self.lesions[n] for n in group.after}
        if not before and not after:
            return  # seen earlier, and at neither of these time points
        earlier, later = (_total(lesions.values()) for lesions in (before, after))
        brightness = self._brightness(group, grown=later.ml > earlier.ml)
        changed = brightness is not None and brightness.changed(later.ml > earlier.ml)
        kind = classify(_volumes(before), _volumes(after), changed)
        facts = {
            "to_point": self.interval.number + 1,
            "kind": kind,
            "within_error": within_error(earlier, later),
            "contrast_before": None if brightness is None else brightness.before,
            "contrast_after": None if brightness is None else brightness.after,
            "centre_mm": self._centre_mm(group),
        }
        # Numbers begin with the largest lesion: that of the later time point stands for its group.
        standing = next(iter([*after, *before]))
        for identity in sorted({*before, *after}):
            change = later.ml - earlier.ml if identity == standing else None
            yield LesionChange(
                identity=identity,
                change_ml=change,
                ml_per_year=self.interval.per_year(change),
                related=tuple(sorted({*before, *after} - {identity})),
                **_at("before", before.get(identity)),
                **_at("after", after.get(identity)),
                **facts,
            )

    def _brightness(self, group: Group, *, grown: bool) -> Brightness | None:
        """Return the brightness where the masks differ; None where the smaller holds the larger."""
        before, after = np.isin(self.known, group.before), np.isin(self.labels, group.after)
        if not any(number in self.present for number in group.before):
            before[:] = False
        region = after & ~before if grown else before & ~after
        if not region.any():
            return None
        interval = self.interval
        return brightness_of(interval.images, region, interval.tissue, interval.spacing_mm)

    def _centre_mm(self, group: Group) -> tuple[float, float, float]:
        both = np.isin(self.known, group.before) | np.isin(self.labels, group.after)
        index = np.argwhere(both).mean(axis=0)
        x, y, z = self.interval.affine[:3, :3] @ index + self.interval.affine[:3, 3]
        return float(x), float(y), float(z)


def _at(time: str, lesion: Lesion | None) -> dict[str, Any]:
    """Return volume and number of a lesion at a time point as entries of its change."""
    if lesion is None:
        return {time: None}
    return {time: lesion.volume, f"number_{time}": lesion.number}


def _volumes(lesions: Mapping[int, Lesion]) -> list[MeasuredVolume]:
    return [lesion.volume for lesion in lesions.values()]


def _total(lesions: Iterable[Lesion]) -> MeasuredVolume:
    return sum((lesion.volume for lesion in lesions), MeasuredVolume())
