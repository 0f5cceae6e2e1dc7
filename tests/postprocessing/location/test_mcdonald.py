"""Counts of the McDonald criteria, by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from anomri.postprocessing import count_by_region
from anomri.scan import Zone

NEAR, CORTEX, DEEP, BELOW = (
    *(Zone.PERIVENTRICULAR, Zone.JUXTACORTICAL),
    *(Zone.DEEP, Zone.INFRATENTORIAL),
)


@dataclass(frozen=True)
class Lesion:
    zone: str
    long_axis_mm: float | None


def test_lesions_of_three_millimetres_count_by_region() -> None:
    lengths = [(NEAR, 3.0), (NEAR, 12.5), (NEAR, 2.9), (CORTEX, 2.5), (BELOW, 4.0), (DEEP, 9.0)]
    counts = count_by_region([Lesion(*facts) for facts in lengths])
    assert counts is not None
    assert str(counts).startswith(
        "Lesions of 3 mm and longer: 2 periventricular, 0 juxtacortical/cortical, "
        "1 infratentorial. This meets the imaging count"
    )
    assert "not a diagnosis" in str(counts)


@pytest.mark.parametrize(
    ("zones", "expected"),
    [
        ([], False),
        ([NEAR, NEAR, NEAR], False),
        ([NEAR, DEEP], False),  # deep white matter is no region of the criteria
        ([CORTEX, BELOW], True),
        ([NEAR, CORTEX, BELOW], True),
    ],
)
def test_two_regions_are_dissemination_in_space(zones: list[Zone], *, expected: bool) -> None:
    counts = count_by_region([Lesion(zone, 5.0) for zone in zones])
    assert counts is not None
    assert counts.dissemination_in_space is expected
    assert ("does not meet" in str(counts)) is not expected


@pytest.mark.parametrize("unknown", [Lesion("", 5.0), Lesion(NEAR, None)])
def test_nothing_is_counted_where_something_is_not_known(unknown: Lesion) -> None:
    assert count_by_region([Lesion(CORTEX, 5.0), unknown]) is None
