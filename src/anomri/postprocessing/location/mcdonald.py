"""Lesions counted by the regions of the McDonald criteria of 2017.

Dissemination in space is one or more lesions of the white matter or the cortex, typical of multiple
sclerosis, in two or more of four regions: periventricular, juxtacortical or cortical,
infratentorial, and the spinal cord (Thompson et al., Lancet Neurology 2018;17:162-173). A lesion
counts if its long axis is at least 3 mm (Filippi et al., Brain 2019;142:1858-1875).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

from anomri.scan import Zone

MIN_LONG_AXIS_MM = 3.0
MIN_REGIONS = 2
COUNTED = (Zone.PERIVENTRICULAR, Zone.JUXTACORTICAL, Zone.INFRATENTORIAL)
CAUTION = (
    "These are automatic findings, counted, and not a diagnosis: the criteria ask for lesions "
    "typical of multiple sclerosis. Spinal cord and optic nerves were not examined."
)


class MeasuredLesion(Protocol):
    """A lesion with its zone and its length."""

    @property
    def zone(self) -> str:
        """A :class:`~anomri.scan.Zone`; empty where it is not known."""

    @property
    def long_axis_mm(self) -> float | None:
        """Its long axis; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class RegionCounts:
    """Number of lesions of at least 3 mm in each region that a scan of the head shows.

    >>> RegionCounts(4, 0, 0).dissemination_in_space, RegionCounts(4, 1, 0).dissemination_in_space
    (False, True)

    Attributes:
        periventricular_count: number of lesions there.
        juxtacortical_count: juxtacortical and cortical ones together.
        infratentorial_count: in brain stem and cerebellum.
        dissemination_in_space: whether at least two regions hold a lesion.
    """

    periventricular_count: int
    juxtacortical_count: int
    infratentorial_count: int
    dissemination_in_space: bool = field(init=False)

    def __post_init__(self) -> None:
        regions = sum(count > 0 for count in self._counts)
        object.__setattr__(self, "dissemination_in_space", regions >= MIN_REGIONS)

    def __str__(self) -> str:
        counts = ", ".join(f"{n} {zone}" for n, zone in zip(self._counts, COUNTED, strict=True))
        meets = "This meets" if self.dissemination_in_space else "In the brain this does not meet"
        return (
            f"Lesions of {MIN_LONG_AXIS_MM:g} mm and longer: {counts}. {meets} the imaging count "
            f"of the McDonald criteria of 2017 for dissemination in space. {CAUTION}"
        )

    @property
    def _counts(self) -> tuple[int, int, int]:
        return self.periventricular_count, self.juxtacortical_count, self.infratentorial_count


REGION_COUNTS = tuple(part.name for part in fields(RegionCounts))
"""Names of the counts, as in tables."""


def count_by_region(lesions: Sequence[MeasuredLesion]) -> RegionCounts | None:
    """Count the lesions of a scan; None where a zone or a long axis is not known."""
    if not all(lesion.zone and lesion.long_axis_mm for lesion in lesions):
        return None
    long = [lesion for lesion in lesions if (lesion.long_axis_mm or 0) >= MIN_LONG_AXIS_MM]
    first, second, third = (sum(lesion.zone == zone for lesion in long) for zone in COUNTED)
    return RegionCounts(first, second, third)
