"""Number and volume of lesions by place, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Placed(Protocol):
    """A lesion with the names of its side and zone, empty where they are not known."""

    @property
    def side(self) -> str:
        """A :class:`~anomri.scan.Side`."""

    @property
    def zone(self) -> str:
        """A :class:`~anomri.scan.Zone`."""

    @property
    def volume_ml(self) -> float:
        """Its volume."""


@dataclass(frozen=True, slots=True)
class PlaceSum:
    """Lesions of one side and zone.

    Attributes:
        side: a :class:`~anomri.scan.Side`; empty where it is not known.
        zone: a :class:`~anomri.scan.Zone`; empty where it is not known.
        count: number of lesions.
        volume_ml: of them all.
    """

    side: str
    zone: str
    count: int
    volume_ml: float


def sum_by_place(lesions: Sequence[Placed]) -> list[PlaceSum]:
    """Sum lesions by place, the largest volume first.

    >>> lesion = PlaceSum("left", "infratentorial", 1, 1.5)
    >>> sum_by_place([lesion, lesion])
    [PlaceSum(side='left', zone='infratentorial', count=2, volume_ml=3.0)]
    """
    volumes: dict[tuple[str, str], list[float]] = {}
    for lesion in lesions:
        volumes.setdefault((lesion.side, lesion.zone), []).append(lesion.volume_ml)
    sums = [PlaceSum(*place, len(ml), sum(ml)) for place, ml in volumes.items()]
    return sorted(sums, key=lambda place: -place.volume_ml)


def in_words(lesions: Sequence[Placed]) -> str:
    """Name the places of lesions and their volumes; empty where a zone is not known.

    >>> in_words([PlaceSum("left", "periventricular", 2, 3.14), PlaceSum("both", "", 1, 1.0)])
    ''
    >>> in_words([PlaceSum("both", "periventricular", 2, 3.14)])
    'bilateral periventricular 3.1 ml'
    """
    if not all(lesion.zone for lesion in lesions):
        return ""
    return ", ".join(
        f"{_side(place.side)} {place.zone} {place.volume_ml:.1f} ml"
        for place in sum_by_place(lesions)
    )


def _side(side: str) -> str:
    return "bilateral" if side == "both" else side
