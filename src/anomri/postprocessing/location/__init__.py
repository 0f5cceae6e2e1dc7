"""Where lesions lie: side and zone of each, their sums by place and the McDonald criteria."""

from anomri.postprocessing.location.lesion_position import GEOMETRIC, Places
from anomri.postprocessing.location.mcdonald import (
    REGION_COUNTS,
    RegionCounts,
    count_by_region,
)
from anomri.postprocessing.location.sums import in_words, sum_by_place
from anomri.postprocessing.location.zones import located_findings, with_locations

__all__ = [
    "GEOMETRIC",
    "REGION_COUNTS",
    "Places",
    "RegionCounts",
    "count_by_region",
    "in_words",
    "located_findings",
    "sum_by_place",
    "with_locations",
]
